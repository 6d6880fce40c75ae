package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/rootfs"
	"github.com/minirt/mini/runtime"
)

func inspectContainer(rt *runtime.Runtime, ctr *runtime.Container) (*containerJSON, error) {
	eps, err := ctr.Endpoints()
	if err != nil {
		return nil, err
	}
	image, err := rt.Images.Find(ctr.Config.ImageID)
	if err != nil {
		image = nil // of a --rootfs, or gone: the rest is worth showing
	}
	return containerJSONOf(ctr, containerFacts{dir: ctr.Dir(), log: ctr.LogPath(), endpoints: eps, image: image}), nil
}

// sizesOf gives what inspect --size adds.
func sizesOf(ctr *runtime.Container) (written, all *int64, err error) {
	w, a, err := ctr.Size()
	return &w, &a, err
}

// containerFacts are what is known of a container besides its own records.
type containerFacts struct {
	dir, log  string
	endpoints []network.Endpoint
	image     *rootfs.Image // may be nil
}

func containerJSONOf(ctr *runtime.Container, f containerFacts) *containerJSON {
	cfg, dir := &ctr.Config, f.dir
	words := commandWords(cfg)
	o := &containerJSON{
		ID: cfg.ID, Created: cfg.Created, State: stateJSONOf(ctr.State), Image: imageID(cfg.ImageID),
		ResolvConfPath: filepath.Join(dir, "resolv.conf"), HostnamePath: filepath.Join(dir, "hostname"),
		HostsPath: filepath.Join(dir, "hosts"), LogPath: f.log, Name: "/" + cfg.Name,
		Driver: "overlay", Platform: goruntime.GOOS, HostConfig: hostConfigOf(cfg),
		GraphDriver: graphOf(cfg, dir, f.image), Mounts: mountsOf(cfg), Config: configOf(cfg, f.image),
		NetworkSettings: networkSettingsOf(ctr, f.endpoints), Args: []string{},
	}
	if len(words) > 0 {
		o.Path, o.Args = words[0], words[1:]
	}
	return o
}

// imageID gives an image's id as Docker writes it.
func imageID(id string) string {
	if id == "" || strings.Contains(id, ":") {
		return id
	}
	return "sha256:" + id
}

func stateJSONOf(s runtime.State) stateJSON {
	return stateJSON{
		Status: string(s.Status), Running: s.Status == runtime.Running, Dead: s.Status == runtime.Dead,
		OOMKilled: s.OOMKilled, Pid: s.Pid, ExitCode: s.ExitCode, Error: s.Error,
		StartedAt: s.StartedAt, FinishedAt: s.FinishedAt,
	}
}

func hostConfigOf(cfg *runtime.Config) hostConfigJSON {
	h := hostConfigJSON{
		NetworkMode: cfg.NetworkMode, PortBindings: bindings(cfg.Ports), PublishAllPorts: cfg.PublishAll, AutoRemove: cfg.AutoRemove,
		DNS: []string{}, DNSOptions: orEmpty(cfg.DNS.Options), DNSSearch: orEmpty(cfg.DNS.Search),
		ExtraHosts: cfg.ExtraHosts, ReadonlyRootfs: cfg.ReadOnly, Runtime: "mini",
		Memory: cfg.Memory, NanoCPUs: cfg.NanoCPUs, Init: cfg.Init,
	}
	for _, ip := range cfg.DNS.Servers {
		h.DNS = append(h.DNS, ip.String())
	}
	if cfg.PidsLimit > 0 {
		h.PidsLimit = &cfg.PidsLimit
	}
	for _, m := range cfg.Mounts {
		switch {
		case m.Type == runtime.MountTmpfs:
			if h.Tmpfs == nil {
				h.Tmpfs = map[string]string{}
			}
			h.Tmpfs[m.Destination] = m.Options
		case !m.Anonymous:
			h.Binds = append(h.Binds, strings.TrimSuffix(m.Source+":"+m.Destination+":"+modeOf(m), ":"))
		}
	}
	return h
}

// modeOf gives a mount's options as -v takes them.
func modeOf(m runtime.Mount) string {
	var words []string
	if m.ReadOnly {
		words = append(words, "ro")
	}
	if m.Propagation != "" && m.Propagation != "rprivate" {
		words = append(words, m.Propagation)
	}
	return strings.Join(words, ",")
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func portKey(p port.Mapping) string { return p.Exposed().String() }

func bindings(ports []port.Mapping) map[string][]portJSON {
	out := map[string][]portJSON{}
	for _, p := range port.Split(ports) {
		host := ""
		if p.HostPort != 0 {
			host = strconv.Itoa(int(p.HostPort))
		}
		if p.HostPortEnd > p.HostPort {
			host += "-" + strconv.Itoa(int(p.HostPortEnd))
		}
		out[portKey(p)] = append(out[portKey(p)], portJSON{HostIP: addrText(p.HostIP), HostPort: host})
	}
	return out
}

// addrText gives no text for no address.
func addrText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

func mountsOf(cfg *runtime.Config) []mountJSON {
	out := []mountJSON{}
	for _, m := range cfg.Mounts {
		j := mountJSON{
			Type: m.Type, Source: m.Source, Destination: m.Destination, Mode: modeOf(m), RW: !m.ReadOnly,
			Propagation: m.Propagation,
		}
		switch m.Type {
		case runtime.MountTmpfs:
			continue // as in Docker, it is in HostConfig
		case runtime.MountVolume:
			j.Name, j.Source, j.Driver = m.Source, m.Path, "local"
		case runtime.MountBind:
			if j.Propagation == "" {
				j.Propagation = "rprivate"
			}
		}
		out = append(out, j)
	}
	return out
}

func configOf(cfg *runtime.Config, image *rootfs.Image) configJSON {
	j := configJSON{
		Hostname: cfg.Hostname, Domainname: cfg.Domainname, User: cfg.User, AttachStdin: cfg.OpenStdin, AttachStdout: true, AttachStderr: true,
		Tty: cfg.Tty, OpenStdin: cfg.OpenStdin, StdinOnce: cfg.OpenStdin, Env: orEmpty(cfg.Env), Cmd: cfg.Cmd,
		Image: imageText(cfg), WorkingDir: cfg.WorkingDir, Entrypoint: cfg.Entrypoint,
		Labels: cfg.Labels, StopSignal: cfg.StopSignal, StopTimeout: cfg.StopTimeout,
	}
	if j.Labels == nil {
		j.Labels = map[string]string{}
	}
	if len(cfg.Networks) > 0 {
		j.MacAddress = cfg.Networks[0].MAC.String()
	}
	exposed := map[string]struct{}{}
	if image != nil {
		j.Volumes = image.Config.Volumes
	}
	for _, e := range cfg.Exposed {
		exposed[e.String()] = struct{}{}
	}
	for _, p := range cfg.Ports {
		exposed[portKey(p)] = struct{}{}
	}
	j.ExposedPorts = exposed
	return j
}

func graphOf(cfg *runtime.Config, dir string, image *rootfs.Image) graphJSON {
	lower := cfg.Rootfs
	if image != nil {
		lower = strings.Join(image.Layers, ":")
	}
	return graphJSON{Name: "overlay", Data: map[string]string{
		"LowerDir": lower, "UpperDir": filepath.Join(dir, "upper"), "WorkDir": filepath.Join(dir, "work"),
		"MergedDir": filepath.Join(dir, "rootfs"),
	}}
}

// networkSettingsOf joins what is configured with what there is while the
// container runs.
func networkSettingsOf(ctr *runtime.Container, eps []network.Endpoint) networkSettingsJSON {
	s := networkSettingsJSON{Ports: map[string][]portJSON{}, PortReach: reachOf(eps), Networks: map[string]*endpointJSON{}}
	if ctr.State.Status == runtime.Running {
		s.SandboxID, s.SandboxKey = ctr.Config.ID, fmt.Sprintf("/proc/%d/ns/net", ctr.State.Pid)
	}
	for _, name := range networkNames(&ctr.Config) {
		s.Networks[name] = &endpointJSON{}
	}
	for _, a := range ctr.Config.Networks {
		s.Networks[a.Network] = wantedEndpoint(a)
	}
	for _, ep := range eps {
		if !ep.HasAddress() {
			continue // its owner is only about to connect
		}
		j := &endpointJSON{
			Aliases: ep.Aliases, DNSNames: ep.DNSNames(), NetworkID: ep.NetworkID, EndpointID: ep.ID, Gateway: addrText(ep.Gateway),
			IPAddress: addrText(ep.IP), IPPrefixLen: ep.PrefixLen, MacAddress: ep.MAC.String(),
			IPv6Gateway: addrText(ep.Gateway6), GlobalIPv6Address: addrText(ep.IP6), GlobalIPv6PrefixLen: ep.PrefixLen6,
			Interface: ep.Interface, HostLink: ep.HostLink, DefaultRoute: ep.DefaultRoute, DefaultRoute6: ep.DefaultRoute6,
		}
		if configured := s.Networks[ep.NetworkName]; configured != nil {
			j.GwPriority, j.IPAMConfig = configured.GwPriority, configured.IPAMConfig
		}
		s.Networks[ep.NetworkName] = j
		for key, list := range bindings(slices.Concat(ep.Ports, ep.Open)) {
			s.Ports[key] = append(s.Ports[key], list...)
		}
		// An exposed port that is not published is there, with nothing behind it.
		for _, e := range ctr.Config.Exposed {
			s.Ports[e.String()] = append(s.Ports[e.String()], nil...)
		}
		// Docker has the addresses of the default network at the top, too.
		if ep.NetworkName == network.Bridge {
			s.EndpointID, s.Gateway, s.IPAddress = j.EndpointID, j.Gateway, j.IPAddress
			s.IPPrefixLen, s.MacAddress = j.IPPrefixLen, j.MacAddress
			s.IPv6Gateway, s.GlobalIPv6Address, s.GlobalIPv6PrefixLen = j.IPv6Gateway, j.GlobalIPv6Address, j.GlobalIPv6PrefixLen
		}
	}
	return s
}

// wantedEndpoint is what was asked for of a network.
func wantedEndpoint(a runtime.NetworkAttachment) *endpointJSON {
	j := &endpointJSON{Aliases: a.Aliases, GwPriority: a.GwPriority}
	if a.IP.IsValid() || a.IP6.IsValid() {
		j.IPAMConfig = &ipamConfigJSON{IPv4Address: addrText(a.IP), IPv6Address: addrText(a.IP6)}
	}
	return j
}
