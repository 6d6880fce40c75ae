package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/minirt/mini/runtime"
)

// parseMounts gives the mounts of -v, --mount and --tmpfs.
func parseMounts(v values) ([]runtime.Mount, error) {
	var mounts []runtime.Mount
	for _, group := range []struct {
		flag  string
		parse func(string) (runtime.Mount, error)
	}{{"volume", parseVolume}, {"mount", parseMount}, {"tmpfs", parseTmpfs}} {
		for _, text := range v.StringSlice(group.flag) {
			m, err := group.parse(text)
			if err != nil {
				return nil, err
			}
			mounts = append(mounts, m)
		}
	}
	return mounts, nil
}

// parseVolume reads [SRC:]DEST[:OPTIONS]. A source with a slash or dot in front
// is a directory or file, any other a volume's name, none an anonymous volume.
func parseVolume(text string) (m runtime.Mount, err error) {
	bad := func(why string) (runtime.Mount, error) {
		return m, fmt.Errorf("invalid volume specification: '%s': %s", text, why)
	}
	m.Type = runtime.MountVolume
	parts := strings.Split(text, ":")
	for _, p := range parts {
		if p == "" {
			return bad("empty section between colons")
		}
	}
	switch len(parts) {
	case 1:
		m.Destination = parts[0]
	case 2, 3:
		m.Source, m.Destination = parts[0], parts[1]
	default:
		return bad("too many colons")
	}
	if len(parts) == 2 && !path.IsAbs(parts[1]) && isMode(parts[1]) {
		return bad("missing destination")
	}
	if !path.IsAbs(m.Destination) {
		return bad("mount path must be absolute")
	}
	if strings.HasPrefix(m.Source, "/") || strings.HasPrefix(m.Source, ".") {
		m.Type = runtime.MountBind
		if m.Source, err = filepath.Abs(m.Source); err != nil {
			return m, fmt.Errorf("finding %s: %w", parts[0], err)
		}
	}
	if len(parts) == 3 {
		if err := setMode(&m, parts[2]); err != nil {
			return bad(err.Error())
		}
	}
	return m, nil
}

func isMode(s string) bool { return setMode(&runtime.Mount{Type: runtime.MountBind}, s) == nil }

// setMode reads the options of -v. Each kind may be given once.
func setMode(m *runtime.Mount, mode string) error {
	seen := map[string]bool{}
	for _, o := range strings.Split(mode, ",") {
		var kind string
		switch o {
		case "ro", "rw":
			kind, m.ReadOnly = "access", o == "ro"
		case "z", "Z":
			kind = "label" // for SELinux, which mini does not use
		case "private", "rprivate", "shared", "rshared", "slave", "rslave":
			kind, m.Propagation = "propagation", o
			if m.Type != runtime.MountBind {
				return fmt.Errorf("invalid mode: %s is for directories of the host", o)
			}
		case "consistent", "cached", "delegated":
			kind = "consistency" // no meaning on Linux
		default:
			return fmt.Errorf("invalid mode: %s", mode)
		}
		if seen[kind] {
			return fmt.Errorf("invalid mode: %s", mode)
		}
		seen[kind] = true
	}
	return nil
}

// parseTmpfs reads DIR[:OPTIONS].
func parseTmpfs(text string) (runtime.Mount, error) {
	dir, options, _ := strings.Cut(text, ":")
	m := runtime.Mount{Type: runtime.MountTmpfs, Destination: dir, Options: options}
	if !path.IsAbs(dir) {
		return m, fmt.Errorf("invalid tmpfs '%s': mount path must be absolute", text)
	}
	return m, nil
}

// parseMount reads the comma-separated fields of --mount.
func parseMount(text string) (m runtime.Mount, err error) {
	m.Type = runtime.MountVolume
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return m, invalidArgument(text, "--mount", err)
	}
	for _, field := range fields {
		if err := setMountField(&m, field); err != nil {
			return m, invalidArgument(text, "--mount", err)
		}
	}
	if err := finishMount(&m); err != nil {
		return m, invalidArgument(text, "--mount", err)
	}
	return m, nil
}

func setMountField(m *runtime.Mount, field string) error {
	key, value, hasValue := strings.Cut(field, "=")
	switch key = strings.ToLower(key); key {
	case "type":
		m.Type = strings.ToLower(value)
	case "source", "src":
		m.Source = value
	case "target", "destination", "dst":
		m.Destination = value
	case "readonly", "ro":
		switch {
		case !hasValue || value == "true" || value == "1":
			m.ReadOnly = true
		case value != "false" && value != "0":
			return fmt.Errorf("invalid value for %s: %s", key, value)
		}
	case "bind-propagation":
		if m.Propagation = value; !isMode(value) || !strings.Contains("rprivate rshared rslave", value) {
			return fmt.Errorf("invalid propagation %q", value)
		}
	case "tmpfs-size":
		m.Options = joinOption(m.Options, "size="+value)
	case "tmpfs-mode":
		m.Options = joinOption(m.Options, "mode="+value)
	default:
		return fmt.Errorf("unexpected key '%s' in '%s'", key, field)
	}
	return nil
}

func joinOption(have, more string) string {
	if have == "" {
		return more
	}
	return have + "," + more
}

// finishMount checks the fields against the type.
func finishMount(m *runtime.Mount) (err error) {
	if m.Destination == "" {
		return errors.New("target is required")
	}
	switch m.Type {
	case runtime.MountBind:
		if m.Source == "" {
			return errors.New("source is required")
		}
		m.MustExist = true
		m.Source, err = filepath.Abs(m.Source)
		return err
	case runtime.MountTmpfs:
		if m.Source != "" {
			return errors.New("a tmpfs has no source")
		}
		if m.ReadOnly {
			m.Options = joinOption(m.Options, "ro")
		}
	case runtime.MountVolume:
	default:
		return fmt.Errorf("unknown type %q: want bind, volume or tmpfs", m.Type)
	}
	return nil
}
