package runtime

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/rootfs"
	"github.com/minirt/mini/runtime/names"
)

// containerMode is the beginning of a network mode that joins the namespace of
// another container.
const containerMode = "container:"

// resolveConfig validates cfg and fills in what it leaves open. It reads only.
func (r *Runtime) resolveConfig(cfg *Config) error {
	cfg.ID, cfg.Created = names.NewID(), time.Now().UTC()
	if cfg.Name != "" {
		if err := names.Valid(cfg.Name); err != nil {
			return err
		}
	}
	if len(cfg.Hostname) > 63 {
		return errorf(ErrInvalid, "invalid hostname %q: longer than 63 characters", cfg.Hostname)
	}
	if err := checkDomain(cfg.Domainname); err != nil {
		return err
	}
	if err := r.applyImage(cfg); err != nil {
		return err
	}
	if err := checkCommand(cfg); err != nil {
		return err
	}
	if _, err := ParseSignal(orDefault(cfg.StopSignal, "SIGTERM")); err != nil {
		return err
	}
	if cfg.WorkingDir != "" && !path.IsAbs(cfg.WorkingDir) {
		return errorf(ErrInvalid, "the working directory '%s' is invalid, it needs to be an absolute path", cfg.WorkingDir)
	}
	for _, e := range cfg.ExtraHosts {
		if _, err := rootfs.ParseAddHost(e); err != nil {
			return err
		}
	}
	if err := r.checkMounts(cfg); err != nil {
		return err
	}
	if err := r.resolveNetwork(cfg); err != nil {
		return err
	}
	return setHostname(cfg)
}

// maxDomain is what the kernel takes, in bytes: __NEW_UTS_LEN, see setdomainname(2).
const maxDomain = 64

// checkDomain wants a domain that can be a part of a line of /etc/hosts.
func checkDomain(name string) error {
	if len(name) > maxDomain {
		return errorf(ErrInvalid, "invalid domainname %q: longer than %d characters", name, maxDomain)
	}
	for label := range strings.SplitSeq(name, ".") {
		if name != "" && (label == "" || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "") {
			return errorf(ErrInvalid, "invalid domainname %q: want letters, digits, hyphens and single dots between them", name)
		}
	}
	return nil
}

// checkCommand makes sure that there is something to execute.
func checkCommand(cfg *Config) error {
	args := slices.Concat(cfg.Entrypoint, cfg.Cmd)
	if len(args) > 0 && len(cfg.Entrypoint) > 0 && cfg.Entrypoint[0] == "" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errorf(ErrInvalid, "no command specified")
	}
	if args[0] == "" {
		return errorf(ErrInvalid, "the command is an empty word: name a program to run")
	}
	return nil
}

// setHostname gives a container without a hostname the host's, when it shares
// the host's network, or its own short id.
func setHostname(cfg *Config) (err error) {
	if cfg.Hostname == "" && cfg.NetworkMode == network.Host {
		if cfg.Hostname, err = os.Hostname(); err != nil {
			return fmt.Errorf("finding the host's name: %w", err)
		}
	}
	cfg.Hostname = orDefault(cfg.Hostname, short(cfg.ID))
	return nil
}

// applyImage merges the image's defaults below what the user said.
func (r *Runtime) applyImage(cfg *Config) error {
	cfg.Exposed = port.SortExposed(cfg.Exposed)
	if cfg.Rootfs != "" {
		return checkRootfs(cfg)
	}
	image, err := r.Images.Find(cfg.Image)
	if err != nil {
		return err
	}
	cfg.ImageID = image.ID
	def := image.Config
	if cfg.Entrypoint == nil {
		cfg.Entrypoint = def.Entrypoint
		if cfg.Cmd == nil {
			cfg.Cmd = def.Cmd
		}
	}
	cfg.Env = mergeEnv(def.Env, cfg.Env)
	cfg.WorkingDir = orDefault(cfg.WorkingDir, def.WorkingDir)
	cfg.User = orDefault(cfg.User, def.User)
	cfg.StopSignal = orDefault(cfg.StopSignal, def.StopSignal)
	if labels := maps.Clone(def.Labels); labels != nil {
		maps.Copy(labels, cfg.Labels)
		cfg.Labels = labels
	}
	for spec := range def.ExposedPorts {
		exposed, err := port.ParseExposed(spec)
		if err != nil {
			return fmt.Errorf("reading the configuration of image %s: %w", cfg.Image, err)
		}
		cfg.Exposed = append(cfg.Exposed, exposed...)
	}
	cfg.Exposed = port.SortExposed(cfg.Exposed)
	for dst := range def.Volumes {
		if !slices.ContainsFunc(cfg.Mounts, func(m Mount) bool { return path.Clean(m.Destination) == path.Clean(dst) }) {
			cfg.Mounts = append(cfg.Mounts, Mount{Type: MountVolume, Destination: dst})
		}
	}
	return nil
}

func checkRootfs(cfg *Config) error {
	abs, err := filepath.Abs(cfg.Rootfs)
	if err != nil {
		return fmt.Errorf("finding the root directory %s: %w", cfg.Rootfs, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return fmt.Errorf("looking at the root directory %s: %w", cfg.Rootfs, err)
	}
	if !info.IsDir() {
		return errorf(ErrInvalid, "the root %s is not a directory", cfg.Rootfs)
	}
	cfg.Rootfs = abs
	return nil
}

func (r *Runtime) checkMounts(cfg *Config) error {
	seen := map[string]bool{}
	for i := range cfg.Mounts {
		m := &cfg.Mounts[i]
		if !path.IsAbs(m.Destination) {
			return errorf(ErrInvalid, "invalid mount path: '%s' mount path must be absolute", m.Destination)
		}
		m.Destination = path.Clean(m.Destination)
		if below(m.Destination, "/proc") {
			return errorf(ErrInvalid, "%q cannot be mounted because it is inside /proc", m.Destination)
		}
		if m.Destination == "/" {
			return errorf(ErrInvalid, "invalid volume specification: destination can't be '/'")
		}
		if seen[m.Destination] {
			return errorf(ErrInvalid, "duplicate mount point: %s", m.Destination)
		}
		seen[m.Destination] = true
		if m.Type != MountVolume {
			continue
		}
		if m.Source == "" {
			m.Source, m.Anonymous = names.NewID(), true
		}
		if err := rootfs.CheckVolumeName(m.Source); err != nil {
			return err
		}
	}
	return nil
}

// resolveNetwork checks the network mode, and writes it in one way.
func (r *Runtime) resolveNetwork(cfg *Config) error {
	mode := orDefault(cfg.NetworkMode, network.Bridge)
	if mode == "default" {
		mode = network.Bridge
	}
	if ref, ok := strings.CutPrefix(mode, containerMode); ok {
		target, err := r.Find(ref)
		if err != nil {
			return err
		}
		if target.State.Status != Running {
			return errorf(ErrConflict, "cannot join network of a non running container: %s", target.Config.ID)
		}
		cfg.NetworkMode, cfg.Networks, cfg.Ports = containerMode+target.Config.ID, nil, nil
		cfg.Hostname = target.Config.Hostname
		return nil
	}
	if len(cfg.Networks) == 0 {
		cfg.Networks = []NetworkAttachment{{}}
	}
	cfg.Networks[0].Network = mode
	for i := range cfg.Networks {
		n, err := r.resolveAttachment(cfg, i)
		if err != nil {
			return err
		}
		if !n.HasEndpoints() {
			cfg.NetworkMode, cfg.Networks, cfg.Ports = n.Name, nil, nil
			return nil
		}
	}
	cfg.NetworkMode = cfg.Networks[0].Network
	return nil
}

// resolveAttachment checks the container's network number i, and names it in
// one way.
func (r *Runtime) resolveAttachment(cfg *Config, i int) (*network.Network, error) {
	a := &cfg.Networks[i]
	n, err := r.Networks.Find(a.Network)
	if err != nil {
		return nil, err
	}
	a.Network = n.Name
	switch {
	case !n.HasEndpoints() && len(cfg.Networks) > 1:
		return nil, errorf(ErrInvalid, "conflicting options: network %s cannot be combined with other networks", n.Name)
	case slices.ContainsFunc(cfg.Networks[:i], func(b NetworkAttachment) bool { return b.Network == n.Name }):
		return nil, errorf(ErrInvalid, "network %q is specified multiple times", n.Name)
	case n.HasEndpoints():
		return n, a.fits(n)
	}
	return n, nil
}
