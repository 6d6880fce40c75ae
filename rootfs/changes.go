package rootfs

import (
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// shell runs commands that are given as a text.
const shell = "/bin/sh"

// changer applies the arguments of one instruction.
type changer func(c *ImageConfig, args string) error

// changerOf gives the function for an instruction that docker import takes.
func changerOf(instruction string) changer {
	switch instruction {
	case "CMD":
		return func(c *ImageConfig, args string) (err error) {
			c.Cmd, err = commandLine(args)
			return err
		}
	case "ENTRYPOINT":
		return func(c *ImageConfig, args string) (err error) {
			c.Entrypoint, err = commandLine(args)
			return err
		}
	case "ENV":
		return changeEnv
	case "EXPOSE":
		return changeExpose
	case "LABEL":
		return changeLabel
	case "USER":
		return changeUser
	case "VOLUME":
		return changeVolume
	case "WORKDIR":
		return changeWorkdir
	case "STOPSIGNAL":
		return changeStopSignal
	case "HEALTHCHECK":
		return changeHealthcheck
	case "ONBUILD":
		return func(*ImageConfig, string) error {
			return fmt.Errorf("%w: mini does not build images", ErrUnsupported)
		}
	}
	return nil
}

// ParseChanges reads Dockerfile instructions as docker import --change takes
// them: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR
// and HEALTHCHECK NONE. One text may hold several lines. Variables that an ENV
// before has set are replaced, as $NAME and ${NAME}.
func ParseChanges(changes []string) (ImageConfig, error) {
	var config ImageConfig
	for _, change := range changes {
		for line := range strings.Lines(change) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if err := applyChange(&config, line); err != nil {
				return ImageConfig{}, fmt.Errorf("applying change %q: %w", line, err)
			}
		}
	}
	return config, nil
}

func applyChange(config *ImageConfig, line string) error {
	name, args := line, ""
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		name, args = line[:i], strings.TrimSpace(line[i:])
	}
	name = strings.ToUpper(name)
	change := changerOf(name)
	if change == nil {
		return fmt.Errorf("%s is not a valid change command", name)
	}
	if args == "" {
		return fmt.Errorf("%s requires at least one argument", name)
	}
	return change(config, args)
}

// commandLine reads the JSON form, or runs the text with a shell. What looks
// like JSON and is not is a shell command, as in Docker.
func commandLine(args string) ([]string, error) {
	if list, ok := jsonList(args); ok {
		return list, nil
	}
	return []string{shell, "-c", args}, nil
}

func jsonList(args string) ([]string, bool) {
	if !strings.HasPrefix(args, "[") {
		return nil, false
	}
	list := []string{}
	if err := json.Unmarshal([]byte(args), &list); err != nil {
		return nil, false
	}
	return list, true
}

// changeEnv takes "ENV a=1 b=2" and the older "ENV a 1 2".
func changeEnv(c *ImageConfig, args string) error {
	pairs, err := keyValues(args, c.Env)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		setEnv(c, p.key, p.value)
	}
	return nil
}

func setEnv(c *ImageConfig, key, value string) {
	for i, e := range c.Env {
		if strings.HasPrefix(e, key+"=") {
			c.Env[i] = key + "=" + value
			return
		}
	}
	c.Env = append(c.Env, key+"="+value)
}

func changeLabel(c *ImageConfig, args string) error {
	pairs, err := keyValues(args, c.Env)
	if err != nil {
		return err
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	for _, p := range pairs {
		c.Labels[p.key] = p.value
	}
	return nil
}

func changeExpose(c *ImageConfig, args string) error {
	ws, err := words(args, c.Env)
	if err != nil {
		return err
	}
	for _, w := range ws {
		if err := expose(c, w); err != nil {
			return err
		}
	}
	return nil
}

// expose takes PORT[-PORT][/PROTOCOL].
func expose(c *ImageConfig, spec string) error {
	ports, proto, found := strings.Cut(spec, "/")
	if !found {
		proto = "tcp"
	}
	proto = strings.ToLower(proto)
	if proto != "tcp" && proto != "udp" && proto != "sctp" {
		return fmt.Errorf("invalid proto: %q in %s", proto, spec)
	}
	from, to, isRange := strings.Cut(ports, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || first == 0 || first > last {
		return fmt.Errorf("invalid containerPort: %q", spec)
	}
	if c.ExposedPorts == nil {
		c.ExposedPorts = map[string]struct{}{}
	}
	for p := first; p <= last; p++ {
		c.ExposedPorts[strconv.FormatUint(p, 10)+"/"+proto] = struct{}{}
	}
	return nil
}

// oneWord is for the instructions that take exactly one argument.
func oneWord(c *ImageConfig, args string) (string, error) {
	ws, err := words(args, c.Env)
	if err != nil {
		return "", err
	}
	if len(ws) != 1 || ws[0] == "" {
		return "", fmt.Errorf("requires exactly one argument")
	}
	return ws[0], nil
}

func changeUser(c *ImageConfig, args string) (err error) {
	c.User, err = oneWord(c, args)
	return err
}

func changeWorkdir(c *ImageConfig, args string) error {
	// The whole text is one path: in a WORKDIR spaces need no quotes.
	dir, err := expand(args, c.Env)
	if err != nil {
		return err
	}
	if !path.IsAbs(dir) {
		dir = path.Join("/", c.WorkingDir, dir)
	}
	c.WorkingDir = path.Clean(dir)
	return nil
}

func changeVolume(c *ImageConfig, args string) error {
	list, ok := jsonList(args)
	if !ok {
		var err error
		if list, err = words(args, c.Env); err != nil {
			return err
		}
	}
	if c.Volumes == nil {
		c.Volumes = map[string]struct{}{}
	}
	for _, v := range list {
		if v = strings.TrimSpace(v); v == "" {
			return fmt.Errorf("VOLUME specified can not be an empty string")
		}
		c.Volumes[path.Join("/", v)] = struct{}{}
	}
	return nil
}

func changeStopSignal(c *ImageConfig, args string) error {
	name, err := oneWord(c, args)
	if err != nil {
		return err
	}
	if !validSignal(name) {
		return fmt.Errorf("invalid signal: %s", name)
	}
	c.StopSignal = name
	return nil
}

// validSignal takes a number from 1 to 64, or a name with or without "SIG".
// Real-time signals are named RTMIN, RTMIN+n, RTMAX-n and RTMAX.
func validSignal(name string) bool {
	if n, err := strconv.Atoi(name); err == nil {
		return 1 <= n && n <= 64
	}
	short := strings.TrimPrefix(strings.ToUpper(name), "SIG")
	for _, base := range []string{"RTMIN", "RTMAX"} {
		offset, ok := strings.CutPrefix(short, base)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimLeft(offset, "+-"), 10, 8)
		return offset == "" || err == nil && n <= 30
	}
	return unix.SignalNum("SIG"+short) != 0
}

func changeHealthcheck(_ *ImageConfig, args string) error {
	if strings.EqualFold(args, "NONE") {
		return nil
	}
	return fmt.Errorf("health checks are %w", ErrUnsupported)
}
