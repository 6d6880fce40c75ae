package runtime

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
)

// Config is what a container was created with. Later changes Name, and what
// connects a container and publishes ports: Networks, Ports and PublishAll.
type Config struct {
	ID      string    `json:"id"`      // 64 hex digits
	Name    string    `json:"name"`    // without Docker's leading slash
	Created time.Time `json:"created"` // UTC

	Image   string `json:"image,omitempty"`    // as the user wrote it
	ImageID string `json:"image_id,omitempty"` // sha256:…
	Rootfs  string `json:"rootfs,omitempty"`   // --rootfs: a directory instead of an image

	Entrypoint []string `json:"entrypoint,omitempty"` // nil: the image's; [""]: none
	Cmd        []string `json:"cmd,omitempty"`        // nil: the image's
	Env        []string `json:"env,omitempty"`        // K=V; Create merges the image's below
	WorkingDir string   `json:"working_dir,omitempty"`
	User       string   `json:"user,omitempty"` // as in docker run -u
	Hostname   string   `json:"hostname,omitempty"`
	Domainname string   `json:"domainname,omitempty"`

	Tty        bool              `json:"tty,omitempty"`
	OpenStdin  bool              `json:"open_stdin,omitempty"` // -i
	AutoRemove bool              `json:"auto_remove,omitempty"`
	Init       bool              `json:"init,omitempty"`
	ReadOnly   bool              `json:"read_only,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`

	StopSignal  string `json:"stop_signal,omitempty"`  // name or number; empty: the image's, then SIGTERM
	StopTimeout *int   `json:"stop_timeout,omitempty"` // seconds; nil: 10

	Memory    int64 `json:"memory,omitempty"`     // bytes, 0 for no limit
	NanoCPUs  int64 `json:"nano_cpus,omitempty"`  // billionths of a CPU, 0 for no limit
	PidsLimit int64 `json:"pids_limit,omitempty"` // 0 or less for no limit

	Mounts []Mount `json:"mounts,omitempty"`

	// NetworkMode is bridge, host, none, container:ID or a network's name.
	NetworkMode string              `json:"network_mode"`
	Networks    []NetworkAttachment `json:"networks,omitempty"` // empty for host, none, container
	Ports       []port.Mapping      `json:"ports,omitempty"`
	Exposed     []port.Exposed      `json:"exposed,omitempty"`     // in order; Create adds the image's
	PublishAll  bool                `json:"publish_all,omitempty"` // of Exposed, those not in Ports
	PublishIP   netip.Addr          `json:"publish_ip,omitzero"`   // host address of ports that name none
	DNS         DNS                 `json:"dns"`
	ExtraHosts  []string            `json:"extra_hosts,omitempty"` // name:ip
}

// sharesNetwork tells whether the container has no network namespace of its own.
func (cfg *Config) sharesNetwork() bool {
	return cfg.NetworkMode == network.Host || strings.HasPrefix(cfg.NetworkMode, containerMode)
}

// fullName is the host name with its domain, as /etc/hosts has it.
func (cfg *Config) fullName() string {
	if cfg.Domainname == "" {
		return cfg.Hostname
	}
	return cfg.Hostname + "." + cfg.Domainname
}

// Published gives the ports to publish: those asked for, and with PublishAll
// each exposed one that is not among them, on any free port of the host.
func (cfg *Config) Published() []port.Mapping {
	all := slices.Clone(cfg.Ports)
	if !cfg.PublishAll {
		return all
	}
	for _, e := range cfg.Exposed {
		if !slices.ContainsFunc(cfg.Ports, func(p port.Mapping) bool { return p.Exposed() == e }) {
			all = append(all, port.Mapping{ContainerPort: e.Port, Proto: e.Proto})
		}
	}
	return all
}

// DNS is what --dns, --dns-search and --dns-option say.
type DNS struct {
	Servers []netip.Addr `json:"servers,omitempty"`
	Search  []string     `json:"search,omitempty"`
	Options []string     `json:"options,omitempty"`
}

// NetworkAttachment is one network that a container joins when it starts.
type NetworkAttachment struct {
	Network string           `json:"network"`      // name
	IP      netip.Addr       `json:"ip,omitempty"` // zero: any free one
	IP6     netip.Addr       `json:"ip6,omitzero"` // the same for IPv6
	MAC     net.HardwareAddr `json:"mac,omitempty"`
	Aliases []string         `json:"aliases,omitempty"`
	// GwPriority decides which network gives the default route: see [gatewayOf].
	GwPriority int `json:"gw_priority,omitempty"`
}

// The kinds of [Mount].
const (
	MountBind   = "bind"
	MountVolume = "volume"
	MountTmpfs  = "tmpfs"
)

// Mount is one -v or --tmpfs.
type Mount struct {
	Type        string `json:"type"`             // bind, volume or tmpfs
	Source      string `json:"source,omitempty"` // absolute host path, or the volume's name
	Path        string `json:"path,omitempty"`   // of a volume on the host; Create fills it in
	Destination string `json:"destination"`      // absolute path in the container
	ReadOnly    bool   `json:"read_only,omitempty"`
	MustExist   bool   `json:"must_exist,omitempty"`  // a bind's source is not made, as with --mount
	Propagation string `json:"propagation,omitempty"` // rprivate (default), rslave, rshared, …
	Options     string `json:"options,omitempty"`     // of a tmpfs: size=…, mode=…
	Anonymous   bool   `json:"anonymous,omitempty"`   // the volume has no name of the user's
}

// makesSource tells whether a bind's source is to be made when it is missing,
// as docker run -v does.
func (cfg *Config) makesSource(source string) bool {
	for _, m := range cfg.Mounts {
		if m.Type == MountBind && m.Source == source {
			return !m.MustExist
		}
	}
	return false
}

// Status is where a container is in its life, with Docker's words.
type Status string

// The states that `mini ps` shows.
const (
	Created Status = "created"
	Running Status = "running"
	Exited  Status = "exited"
	Dead    Status = "dead"
)

// State is what changes during a container's life.
type State struct {
	Status     Status    `json:"status"`
	Pid        int       `json:"pid,omitempty"`         // of the init, in the host's PID namespace
	StartTicks uint64    `json:"start_ticks,omitempty"` // field 22 of /proc/PID/stat: tells a reused pid
	Boot       string    `json:"boot,omitempty"`        // id of the boot that Pid and StartTicks belong to
	MonitorPid int       `json:"monitor_pid,omitempty"`
	Ended      bool      `json:"ended,omitempty"` // the init has ended; the teardown is under way
	ExitCode   int       `json:"exit_code"`
	Error      string    `json:"error,omitempty"` // why the last start failed
	OOMKilled  bool      `json:"oom_killed,omitempty"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
}
