package lab

// Topology describes a lab. The tags of its fields are what the file's keys are called and what
// the JSON schema says of them; see [Schema].
type Topology struct {
	Name    string            `yaml:"name" pattern:"^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$" doc:"What the lab is called. By default the file's name."`
	About   string            `yaml:"about" doc:"What the lab teaches. The first line is its summary."`
	Hosts   map[string]Place  `yaml:"hosts" keys:"place" doc:"Namespaces that play machines, by name."`
	Nodes   map[string]Place  `yaml:"nodes" keys:"place" doc:"Namespaces that play containers, by name."`
	Bridges map[string]Bridge `yaml:"bridges" keys:"link" doc:"Bridges, by the name of their link."`
	Links   []Link            `yaml:"links" doc:"Cables: veth pairs."`
	Tunnels []Tunnel          `yaml:"tunnels" doc:"VXLAN links."`
	Routes  []Route           `yaml:"routes" doc:"Routes."`
	Sysctls []Sysctl          `yaml:"sysctls" doc:"Settings of the kernel, of one namespace each."`
	NAT     []NAT             `yaml:"nat" doc:"Rewrites of addresses."`
	Drops   []Drop            `yaml:"drops" doc:"What a place does not forward."`
	Ports   []Port            `yaml:"ports" doc:"What answers while the lab is checked."`
	Expect  []Expectation     `yaml:"expect" doc:"Who reaches whom, and who must not."`

	order order
}

// Place is a host or a node: a network namespace.
type Place struct {
	About string `yaml:"about" doc:"What it is, for people."`
	On    string `yaml:"on" doc:"The host that the node stands on. It is drawn there, nothing more."`
	Share string `yaml:"share" doc:"The place whose namespace this one uses, as a container with --net host or --net container:NAME does."`
}

// Bridge is a Linux bridge.
type Bridge struct {
	In      string `yaml:"in" required:"true" doc:"The place that has it."`
	Address string `yaml:"address" doc:"Its own address and prefix, as 10.0.0.1/24. Without one it only joins."`
	MTU     int    `yaml:"mtu" doc:"Largest packet, in bytes. By default the kernel's."`
}

// Link is a veth pair. Each end is written "PLACE:INTERFACE [ADDRESS/BITS...]" or "BRIDGE[:INTERFACE]".
type Link struct {
	A   string `yaml:"a" required:"true" doc:"One end: \"PLACE:INTERFACE [ADDRESS/BITS...]\", or \"BRIDGE[:INTERFACE]\"."`
	B   string `yaml:"b" required:"true" doc:"The other end."`
	MTU int    `yaml:"mtu" doc:"Largest packet, in bytes. By default 1500."`
}

// Tunnel is a VXLAN link: it carries Ethernet frames in UDP packets.
type Tunnel struct {
	In     string `yaml:"in" required:"true" doc:"The place that has it."`
	Name   string `yaml:"name" required:"true" doc:"The name of its link."`
	ID     int    `yaml:"id" required:"true" doc:"The network identifier, 1 to 16777215. Both ends have the same."`
	Local  string `yaml:"local" required:"true" doc:"The address that it sends from."`
	Remote string `yaml:"remote" required:"true" doc:"The address that it sends to."`
	Port   int    `yaml:"port" doc:"The UDP port, 4789 by default."`
	Bridge string `yaml:"bridge" doc:"The bridge that it is a port of."`
	MTU    int    `yaml:"mtu" doc:"Largest packet inside, in bytes. By default 1450: 50 less than 1500."`
}

// Route is a route of one place.
type Route struct {
	In  string `yaml:"in" required:"true" doc:"The place that has it."`
	To  string `yaml:"to" required:"true" doc:"A prefix, as 10.0.0.0/24, or default."`
	Via string `yaml:"via" doc:"The next hop's address."`
	Dev string `yaml:"dev" doc:"The link that leads there. By default the one on whose network the next hop is."`
}

// Sysctl is a setting of one place.
type Sysctl struct {
	In    string `yaml:"in" required:"true" doc:"The place that has it."`
	Key   string `yaml:"key" required:"true" pattern:"^net\\.[a-zA-Z0-9_.:/-]+$" doc:"Its name, as net.ipv4.ip_forward."`
	Value string `yaml:"value" required:"true" doc:"Its value."`
}

// NAT is a rule that rewrites addresses: either Masquerade or DNAT and To are set.
type NAT struct {
	In         string   `yaml:"in" required:"true" doc:"The place that has it."`
	Masquerade string   `yaml:"masquerade" doc:"The prefix whose packets get the address of the link that they leave by."`
	Out        string   `yaml:"out" doc:"Only packets that leave by this link."`
	NotOut     string   `yaml:"not-out" doc:"Only packets that do not leave by this link."`
	DNAT       string   `yaml:"dnat" doc:"What is to be sent elsewhere: \"ADDRESS:PORT/tcp\", or udp."`
	To         string   `yaml:"to" doc:"Where a dnat goes: \"ADDRESS:PORT\"."`
	Hooks      []string `yaml:"hooks" enum:"prerouting,output" doc:"Where a dnat happens: prerouting for packets from outside, output for those of the place itself. By default prerouting."`
	Chain      string   `yaml:"chain" pattern:"^[A-Za-z][A-Za-z0-9_-]{0,27}$" doc:"A chain of its own for the dnat, which the hooks jump to for the place's own addresses."`
}

// Drop is a rule that refuses to forward from one link to another, in silence.
type Drop struct {
	In   string `yaml:"in" required:"true" doc:"The place that has it."`
	From string `yaml:"from" required:"true" doc:"The link that packets come in by."`
	To   string `yaml:"to" required:"true" doc:"The link that they would leave by."`
}

// Port is something that answers in a place while the lab is checked.
type Port struct {
	In     string `yaml:"in" required:"true" doc:"The place that answers."`
	Listen string `yaml:"listen" required:"true" pattern:"^(tcp|udp|http):[0-9]+$" doc:"tcp:PORT, udp:PORT or http:PORT. Each answers with the address that it sees the client at."`
}

// Expectation is one probe and what must come of it.
type Expectation struct {
	From    string   `yaml:"from" required:"true" doc:"The place that tries."`
	To      string   `yaml:"to" required:"true" doc:"What it tries to reach: an address or a place (its first address), with :PORT for tcp, udp and http."`
	By      string   `yaml:"by" required:"true" enum:"ping,tcp,udp,http,traceroute" doc:"How."`
	Want    string   `yaml:"want" enum:"ok,refused,timeout,unreachable" doc:"What must come of it: an answer (ok, the default), a refusal, silence, or that there is no way."`
	Sees    string   `yaml:"sees" doc:"The client's address as the server sees it (tcp, udp, http)."`
	TTL     int      `yaml:"ttl" doc:"What is left of the answer's time to live, which starts at 64 (ping)."`
	Hops    []string `yaml:"hops" doc:"The addresses that answer, one for each hop (traceroute)."`
	Wire    string   `yaml:"wire" doc:"\"PLACE:INTERFACE\": a link that is listened to meanwhile (ping)."`
	Carries string   `yaml:"carries" pattern:"^(udp|tcp):[0-9]+$" doc:"The only kind of IP packets that may be on the wire then, as udp:4789. There must be some."`
	Before  string   `yaml:"before" enum:"tunnels,routes,sysctls,nat,drops" doc:"Tried while the lab is built, before that part is there."`
}

// order is the order in which a file names things: a map has none.
type order struct{ hosts, nodes, bridges []string }

// Summary is the first line of About.
func (t *Topology) Summary() string {
	line, _ := firstLine(t.About)
	return line
}
