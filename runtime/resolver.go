package runtime

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/dns"
	"github.com/minirt/mini/network/netns"
)

// hostNames stand for the host, at the gateway of the default route.
var hostNames = map[string]bool{"host.mini.internal": true, "host.docker.internal": true}

// resolver answers the names that a container on a user's network asks for.
type resolver struct {
	r      *Runtime
	self   string // the container's id
	ns     *os.File
	server *dns.Server
	asked  askedServers
	view   atomic.Pointer[view]
	count  atomic.Uint64 // questions for names
}

// A monitor collects no garbage before it has grown to many times its size, as
// most never make that much: see spawnMonitor. Each question makes some 2 kB
// of it. So from the collectAt'th question on it is collected when it is as
// much as half a usual heap.
const (
	collectAt      = 256
	collectPercent = 50
)

// askedServers are asked for names that no container has.
type askedServers struct {
	own  []netip.Addr // from --dns: asked from the container's namespace
	host []netip.Addr // the host's: asked from the host's namespace
}

// view is where the container is connected. It is replaced, never changed.
type view struct {
	networks []*network.Directory // those with names: that of the default route, then as its interfaces
	gateways []netip.Addr         // of the default routes that lead to the host
	outside  bool                 // not all its networks are internal
}

// startResolver begins to answer on sockets in the container's namespace ns,
// which it takes over.
func (r *Runtime) startResolver(self string, ns *os.File, s *network.NameSockets, asked askedServers, keepBare bool) *resolver {
	rs := &resolver{r: r, self: self, ns: ns, asked: asked}
	rs.view.Store(&view{})
	rs.server = dns.New(rs)
	rs.server.Upstreams, rs.server.KeepBareNames = rs.upstreams, keepBare
	rs.server.Serve(s.UDP, s.TCP)
	return rs
}

// close ends it and lets go of the namespace.
func (rs *resolver) close() {
	rs.server.Close()
	rs.ns.Close()
}

// connected tells where the container is connected now.
func (rs *resolver) connected(endpoints []*network.Endpoint) error {
	outside, err := rs.r.leadOutside(endpoints)
	if err != nil {
		return err
	}
	v := &view{outside: outside}
	for _, ep := range endpoints {
		n, err := rs.r.Networks.Find(ep.NetworkName)
		if err != nil {
			return err
		}
		first := len(v.networks)
		if ep.DefaultRoute || ep.DefaultRoute6 && v.gateways == nil {
			first = 0
		}
		if ep.Parent == "" { // else the gateway is somebody else
			v.gateways = append(v.gateways, leading(ep)...)
		}
		if n.HasNames() {
			v.networks = slices.Insert(v.networks, first, rs.directory(n))
		}
	}
	rs.view.Store(v)
	return nil
}

// leading gives the gateways of the default routes that are by an endpoint.
func leading(ep *network.Endpoint) (all []netip.Addr) {
	if ep.DefaultRoute {
		all = append(all, ep.Gateway)
	}
	if ep.DefaultRoute6 {
		all = append(all, ep.Gateway6)
	}
	return all
}

// leadOutside tells whether not all networks of the endpoints are internal.
func (r *Runtime) leadOutside(endpoints []*network.Endpoint) (bool, error) {
	for _, ep := range endpoints {
		n, err := r.Networks.Find(ep.NetworkName)
		if err != nil {
			return false, err
		}
		if !n.Internal {
			return true, nil
		}
	}
	return false, nil
}

// directory keeps the one that is in use, and what it has read.
func (rs *resolver) directory(n *network.Network) *network.Directory {
	for _, d := range rs.view.Load().networks {
		if d.Network() == n.Name {
			return d
		}
	}
	return rs.r.Networks.Directory(n)
}

// Addrs implements [dns.Resolver]. As with Docker, a name may be followed by
// that of a network, and the first network that knows it decides. An alias that
// says who the host is counts.
func (rs *resolver) Addrs(name string) (addrs []netip.Addr, known bool) {
	if rs.count.Add(1) == collectAt {
		debug.SetGCPercent(collectPercent)
	}
	v := rs.view.Load()
	for _, d := range v.networks {
		if addrs = rs.living(d, name); len(addrs) > 0 {
			return addrs, true
		}
	}
	if hostNames[name] {
		return v.gateways, true
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return nil, false
	}
	for _, d := range v.networks {
		if strings.EqualFold(d.Network(), name[dot+1:]) {
			addrs = rs.living(d, name[:dot])
			return addrs, len(addrs) > 0
		}
	}
	return nil, false
}

// living gives the addresses of the containers of that name that live. A record
// that cannot be read is as good as none: the name is asked of others.
func (rs *resolver) living(d *network.Directory, name string) []netip.Addr {
	listings, err := d.Lookup(name)
	if err != nil {
		return nil
	}
	var addrs []netip.Addr
	for _, l := range listings {
		if rs.lives(l.ContainerID) {
			addrs = append(addrs, l.Addrs...)
		}
	}
	return addrs
}

// lives tells whether a container's monitor holds its lock. The records of one
// that was killed stay until somebody clears up.
func (rs *resolver) lives(id string) bool {
	if id == rs.self {
		return true
	}
	alive, err := rs.r.alive(id)
	return alive && err == nil
}

// Name implements [dns.Resolver].
func (rs *resolver) Name(addr netip.Addr) string {
	for _, d := range rs.view.Load().networks {
		if l, ok, err := d.Reverse(addr); err == nil && ok && rs.lives(l.ContainerID) {
			return l.Name + "." + d.Network()
		}
	}
	return ""
}

// upstreams gives who is asked for other names. The host's servers are not
// asked for a container that is to reach nobody outside. What it asks itself,
// from its own namespace, goes no further than all it sends.
func (rs *resolver) upstreams() []dns.Upstream {
	var out []dns.Upstream
	for _, a := range rs.asked.own {
		out = append(out, dns.Upstream{Addr: netip.AddrPortFrom(a, 53), Dial: rs.dialInside})
	}
	if len(out) > 0 || !rs.view.Load().outside {
		return out
	}
	for _, a := range rs.asked.host {
		out = append(out, dns.Upstream{Addr: netip.AddrPortFrom(a, 53)})
	}
	return out
}

// dialInside connects from the container's namespace.
func (rs *resolver) dialInside(ctx context.Context, proto, addr string) (conn net.Conn, err error) {
	err = netns.Do(rs.ns, func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, proto, addr)
		return err
	})
	return conn, err
}

// describe names the servers for people who read resolv.conf.
func (a askedServers) describe() string {
	var texts []string
	for _, s := range a.own {
		texts = append(texts, s.String())
	}
	if len(texts) == 0 {
		for _, s := range a.host {
			texts = append(texts, "host("+s.String()+")")
		}
	}
	if len(texts) == 0 {
		return "nobody"
	}
	return strings.Join(texts, ", ")
}
