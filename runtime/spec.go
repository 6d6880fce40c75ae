package runtime

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/minirt/mini/runtime/caps"
	"github.com/minirt/mini/runtime/devices"
)

// BuildSpec gives the OCI runtime-spec of a container whose files are in dir.
// The defaults are Docker's. What is only known at the start (the user's
// numbers, HOME) is filled in then.
func BuildSpec(cfg *Config, dir string) *specs.Spec {
	args := slices.Concat(cfg.Entrypoint, cfg.Cmd)
	if len(cfg.Entrypoint) > 0 && cfg.Entrypoint[0] == "" {
		args = args[1:]
	}
	names := caps.Default()
	return &specs.Spec{
		Version:  specs.Version,
		Root:     &specs.Root{Path: rootfsDir, Readonly: cfg.ReadOnly},
		Hostname: cfg.Hostname, Domainname: cfg.Domainname,
		Process: &specs.Process{
			Terminal: cfg.Tty,
			User:     specs.User{Username: cfg.User},
			Args:     args,
			Env:      processEnv(cfg),
			Cwd:      orDefault(cfg.WorkingDir, "/"),
			Capabilities: &specs.LinuxCapabilities{
				Bounding: names, Effective: names, Permitted: names,
			},
		},
		Mounts: slices.Concat(defaultMounts(), etcMounts(etcDir(cfg, dir), cfg.ReadOnly), userMounts(cfg)),
		Linux: &specs.Linux{
			Namespaces:    namespaces(cfg),
			Resources:     resources(cfg),
			CgroupsPath:   "/" + cgroupParent + "/" + cfg.ID,
			MaskedPaths:   maskedPaths(),
			ReadonlyPaths: readonlyPaths(),
		},
	}
}

func orDefault(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// processEnv puts what Docker always sets below what image and user set.
func processEnv(cfg *Config) []string {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + cfg.Hostname}
	if cfg.Tty {
		env = append(env, "TERM=xterm")
	}
	return mergeEnv(env, cfg.Env)
}

// mergeEnv gives base with the entries of over added, or put in the place of
// those of the same name.
func mergeEnv(base, over []string) []string {
	out := slices.Clone(base)
	for _, kv := range over {
		name, _, _ := strings.Cut(kv, "=")
		i := slices.IndexFunc(out, func(have string) bool { return strings.HasPrefix(have, name+"=") })
		if i >= 0 {
			out[i] = kv
		} else {
			out = append(out, kv)
		}
	}
	return out
}

func namespaces(cfg *Config) []specs.LinuxNamespace {
	ns := []specs.LinuxNamespace{
		{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}, {Type: specs.UTSNamespace},
		{Type: specs.IPCNamespace}, {Type: specs.CgroupNamespace},
	}
	// host and container:ID share a namespace that exists; which one is
	// decided at the start.
	if !cfg.sharesNetwork() {
		ns = append(ns, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	}
	return ns
}

// cpuPeriod is the length of one scheduling period of --cpus, in microseconds.
const cpuPeriod = 100000

func resources(cfg *Config) *specs.LinuxResources {
	res := &specs.LinuxResources{Devices: devices.Rules()}
	if cfg.Memory > 0 {
		swap := 2 * cfg.Memory // as Docker: as much swap again as memory
		res.Memory = &specs.LinuxMemory{Limit: &cfg.Memory, Swap: &swap}
	}
	if cfg.NanoCPUs > 0 {
		period := uint64(cpuPeriod)
		quota := cfg.NanoCPUs * cpuPeriod / 1e9
		res.CPU = &specs.LinuxCPU{Period: &period, Quota: &quota}
	}
	if cfg.PidsLimit > 0 {
		res.Pids = &specs.LinuxPids{Limit: &cfg.PidsLimit}
	}
	return res
}

func defaultMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=67108864"}},
	}
}

// etcDir is where a container's /etc files are: a container that shares
// another's network shares its names too.
func etcDir(cfg *Config, dir string) string {
	if target, ok := strings.CutPrefix(cfg.NetworkMode, containerMode); ok {
		return filepath.Join(filepath.Dir(dir), target)
	}
	return dir
}

// etcMounts are the three files that mini writes for each container.
func etcMounts(dir string, readonly bool) []specs.Mount {
	options := []string{"rbind", "rprivate"}
	if readonly {
		options = append(options, "ro")
	}
	var out []specs.Mount
	for _, name := range []string{"resolv.conf", "hostname", "hosts"} {
		out = append(out, specs.Mount{
			Destination: "/etc/" + name, Type: "bind", Source: filepath.Join(dir, name),
			Options: options,
		})
	}
	return out
}

// userMounts are those of -v and --tmpfs, outer directories first.
func userMounts(cfg *Config) []specs.Mount {
	mounts := slices.Clone(cfg.Mounts)
	slices.SortStableFunc(mounts, func(a, b Mount) int {
		return strings.Count(a.Destination, "/") - strings.Count(b.Destination, "/")
	})
	var out []specs.Mount
	for _, m := range mounts {
		if m.Type == MountTmpfs {
			options := []string{"nosuid", "nodev", "noexec"}
			if m.Options != "" {
				options = append(options, strings.Split(m.Options, ",")...)
			}
			out = append(out, specs.Mount{Destination: m.Destination, Type: "tmpfs", Source: "tmpfs", Options: options})
			continue
		}
		options := []string{"rbind", orDefault(m.Propagation, "rprivate")}
		if m.ReadOnly {
			options = append(options, "ro")
		}
		out = append(out, specs.Mount{Destination: m.Destination, Type: "bind", Source: orDefault(m.Path, m.Source), Options: options})
	}
	return out
}

// maskedPaths are Docker's: they tell of the host, or reach its hardware.
func maskedPaths() []string {
	return []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
		"/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
		"/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
}

// readonlyPaths are Docker's: writing there changes the host.
func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}
