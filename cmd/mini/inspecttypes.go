package main

import "time"

// containerJSON is what inspect prints of a container: Docker's names and
// nesting, as far as mini has the feature.
type containerJSON struct {
	ID              string `json:"Id"`
	Created         time.Time
	Path            string
	Args            []string
	State           stateJSON
	Image           string
	ResolvConfPath  string
	HostnamePath    string
	HostsPath       string
	LogPath         string
	Name            string
	RestartCount    int
	Driver          string
	Platform        string
	HostConfig      hostConfigJSON
	GraphDriver     graphJSON
	SizeRw          *int64 `json:",omitempty"`
	SizeRootFs      *int64 `json:",omitempty"`
	Mounts          []mountJSON
	Config          configJSON
	NetworkSettings networkSettingsJSON
}

type stateJSON struct {
	Status     string
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  time.Time
	FinishedAt time.Time
}

type hostConfigJSON struct {
	Binds           []string
	NetworkMode     string
	PortBindings    map[string][]portJSON
	PublishAllPorts bool
	AutoRemove      bool
	DNS             []string `json:"Dns"`
	DNSOptions      []string `json:"DnsOptions"`
	DNSSearch       []string `json:"DnsSearch"`
	ExtraHosts      []string
	ReadonlyRootfs  bool
	Tmpfs           map[string]string `json:",omitempty"`
	Runtime         string
	Memory          int64
	NanoCPUs        int64 `json:"NanoCpus"`
	PidsLimit       *int64
	Init            bool
}

type configJSON struct {
	Hostname     string
	Domainname   string
	User         string
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	Env          []string
	Cmd          []string
	Image        string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	Labels       map[string]string
	StopSignal   string `json:",omitempty"`
	StopTimeout  *int   `json:",omitempty"`
	MacAddress   string `json:",omitempty"` // asked for on the first network
}

type mountJSON struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Driver      string `json:",omitempty"`
	Mode        string
	RW          bool
	Propagation string
}

type graphJSON struct {
	Data map[string]string
	Name string
}

type portJSON struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

type networkSettingsJSON struct {
	Bridge      string // empty, as Docker has had it for long
	SandboxID   string // while it runs: the container's id, as each has one namespace
	SandboxKey  string
	Ports       map[string][]portJSON
	PortReach   []portReach // mini's own
	EndpointID  string
	Gateway     string
	IPAddress   string
	IPPrefixLen int
	IPv6Gateway string

	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int

	MacAddress string
	Networks   map[string]*endpointJSON
}

// ipamConfigJSON are the addresses that were asked for.
type ipamConfigJSON struct {
	IPv4Address string `json:",omitempty"`
	IPv6Address string `json:",omitempty"`
}

type endpointJSON struct {
	IPAMConfig  *ipamConfigJSON
	Links       []string // none: Docker's legacy links are not there
	Aliases     []string
	DriverOpts  map[string]string // none
	DNSNames    []string
	NetworkID   string
	EndpointID  string
	Gateway     string
	IPAddress   string
	IPPrefixLen int
	IPv6Gateway string

	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int

	MacAddress string
	GwPriority int
	// Interface and HostLink are mini's own: the two ends of the veth pair. So is
	// DefaultRoute: this network has it, and the published ports. DefaultRoute6 is
	// that of IPv6.
	Interface     string
	HostLink      string
	DefaultRoute  bool
	DefaultRoute6 bool
}
