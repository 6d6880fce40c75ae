package main

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime"
)

func infoCommand() *command {
	return &command{
		name: "info", max: 0, flags: inspectFlags, run: runInfo, short: "Display system-wide information",
		example: "mini info --format '{{.CgroupVersion}}'",
	}
}

// infoJSON has Docker's names where Docker has the fact.
type infoJSON struct {
	Containers        int
	ContainersRunning int
	ContainersStopped int
	Images            int
	Networks          int
	Driver            string
	CgroupVersion     string
	KernelVersion     string
	OperatingSystem   string
	Architecture      string
	NCPU              int
	MemTotal          int64
	DockerRootDir     string
	StateDir          string
	IPv4Forwarding    bool
	BridgeNfIptables  bool
	BridgeNfIp6tables bool
	IPTables          string
	FirewallBackend   firewallJSON
	Name              string
	ServerVersion     string
}

// firewallJSON names the firewall driver in use.
type firewallJSON struct{ Driver string }

func runInfo(c *call) error {
	rt, err := c.open()
	if err != nil {
		return err
	}
	info, err := c.collectInfo(rt)
	if err != nil {
		return err
	}
	if f := c.str("format"); f != "" {
		return printObjects(c.out, f, []any{*info})
	}
	c.printf("%s", info.text())
	return nil
}

func (c *call) collectInfo(rt *runtime.Runtime) (*infoJSON, error) {
	opt := c.options()
	info := &infoJSON{
		Driver: "overlay", CgroupVersion: cgroupLayout("/sys/fs/cgroup"), Architecture: goruntime.GOARCH,
		NCPU: goruntime.NumCPU(), DockerRootDir: absolute(opt.Root), StateDir: absolute(opt.State),
		IPv4Forwarding:   sysctlIsOne("net/ipv4/ip_forward"),
		BridgeNfIptables: sysctlIsOne("net/bridge/bridge-nf-call-iptables"), BridgeNfIp6tables: sysctlIsOne("net/bridge/bridge-nf-call-ip6tables"),
		OperatingSystem: osName("/etc/os-release"), IPTables: iptablesBackend(os.Getenv("PATH")), ServerVersion: version,
	}
	if info.StateDir == "" {
		info.StateDir = runtime.DefaultState
	}
	if err := info.count(rt); err != nil {
		return nil, err
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("asking for the kernel's version: %w", err)
	}
	info.KernelVersion, info.Name = unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Nodename[:])
	var sys unix.Sysinfo_t
	if err := unix.Sysinfo(&sys); err != nil {
		return nil, fmt.Errorf("asking for the memory's size: %w", err)
	}
	info.MemTotal = int64(sys.Totalram) * int64(sys.Unit)
	return info, nil
}

func (info *infoJSON) count(rt *runtime.Runtime) error {
	containers, err := rt.List()
	if err != nil {
		return err
	}
	info.Containers = len(containers)
	for _, ctr := range containers {
		if ctr.State.Status == runtime.Running {
			info.ContainersRunning++
		}
	}
	info.ContainersStopped = info.Containers - info.ContainersRunning
	images, err := rt.Images.List()
	if err != nil {
		return err
	}
	info.Images = len(images)
	networks, err := rt.Networks.List()
	info.Networks = len(networks)
	info.FirewallBackend.Driver = rt.Networks.FirewallDriver()
	return err
}

func (info *infoJSON) text() string {
	var b strings.Builder
	line := func(key string, value any) { fmt.Fprintf(&b, "%s: %v\n", key, value) }
	line("Version", info.ServerVersion)
	line("Containers", info.Containers)
	line(" Running", info.ContainersRunning)
	line(" Stopped", info.ContainersStopped)
	line("Images", info.Images)
	line("Networks", info.Networks)
	line("Storage Driver", info.Driver)
	line("Cgroup Version", info.CgroupVersion)
	line("Firewall Backend", info.FirewallBackend.Driver)
	line("iptables", info.IPTables)
	line("IPv4 Forwarding", info.IPv4Forwarding)
	line("bridge-nf-call-iptables", info.BridgeNfIptables)
	line("bridge-nf-call-ip6tables", info.BridgeNfIp6tables)
	line("Kernel Version", info.KernelVersion)
	line("Operating System", info.OperatingSystem)
	line("Architecture", info.Architecture)
	line("CPUs", info.NCPU)
	line("Total Memory", units.BytesSize(float64(info.MemTotal)))
	line("Name", info.Name)
	line("Root Dir", info.DockerRootDir)
	line("State Dir", info.StateDir)
	return b.String()
}

func absolute(dir string) string {
	if dir == "" {
		return ""
	}
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// cgroupLayout tells version 2 from version 1 with or without a version 2
// hierarchy beside it.
func cgroupLayout(mount string) string {
	if _, err := os.Stat(filepath.Join(mount, "cgroup.controllers")); err == nil {
		return "2"
	}
	if _, err := os.Stat(filepath.Join(mount, "unified", "cgroup.controllers")); err == nil {
		return "1 (hybrid)"
	}
	return "1"
}

// sysctlIsOne reads a switch. One that is missing is off.
func sysctlIsOne(path string) bool {
	b, err := os.ReadFile(filepath.Join("/proc/sys", path))
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

func osName(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return goruntime.GOOS
	}
	for _, line := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			if name, err := strconv.Unquote(v); err == nil {
				return name
			}
			return v
		}
	}
	return goruntime.GOOS
}

// iptablesBackend tells which variant of iptables is installed, by the name of
// the program that the link in PATH ends at.
func iptablesBackend(path string) string {
	for _, dir := range filepath.SplitList(path) {
		target, err := filepath.EvalSymlinks(filepath.Join(dir, "iptables"))
		if err != nil {
			continue
		}
		switch name := filepath.Base(target); {
		case strings.Contains(name, "nft"):
			return "nf_tables"
		case strings.Contains(name, "legacy"):
			return "legacy"
		}
		return target
	}
	return "not found"
}
