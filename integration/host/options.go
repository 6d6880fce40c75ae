package host

import (
	"regexp"
	"time"
)

// Backend is an implementation of the iptables commands.
type Backend string

// The two implementations that Debian ships side by side, and mini's own.
const (
	NFT    Backend = "nft"    // xtables-nft-multi: rules live in nftables
	Legacy Backend = "legacy" // xtables-legacy-multi: rules live in ip_tables
	// Native makes nftables mini's firewall driver. For what else wants iptables,
	// it is [NFT].
	Native Backend = "nftables"
)

// Backends are all of them.
var Backends = []Backend{NFT, Legacy, Native}

// Option changes how [New] makes a host.
type Option func(*config)

type config struct {
	binary   string
	backend  Backend
	bridgeNF *bool
	ipv6     bool
	name     string
	env      []string
	global   []string
	files    []privateFile
	allow    []allowance
	settle   time.Duration
}

type privateFile struct{ path, content string }

// allowance is a difference between the two pictures that is meant.
type allowance struct {
	section string
	line    *regexp.Regexp
	reason  string
}

// Binary sets the mini binary that [Host.Run] runs. The default is what
// [Build] made last.
func Binary(path string) Option { return func(c *config) { c.binary = path } }

// Iptables chooses the implementation behind the iptables commands of the
// host. The default is [NFT].
func Iptables(b Backend) Option { return func(c *config) { c.backend = b } }

// BridgeNF sets bridge-nf-call-iptables and -ip6tables: whether frames that
// cross a bridge meet the iptables rules. The default is what the kernel gives a new
// network namespace.
func BridgeNF(on bool) Option { return func(c *config) { c.bridgeNF = &on } }

// IPv6 gives the uplink IPv6 addresses and a default route, see [HostIPv6].
func IPv6() Option { return func(c *config) { c.ipv6 = true } }

// Name sets the host's name as uname(2) shows it. The default is "private".
func Name(name string) Option { return func(c *config) { c.name = name } }

// Env adds "KEY=value" to the environment of all commands.
func Env(kv ...string) Option { return func(c *config) { c.env = append(c.env, kv...) } }

// GlobalFlags adds flags that [Host.Run] puts before the command, such as
// "--chain-prefix", "MINI".
func GlobalFlags(args ...string) Option {
	return func(c *config) { c.global = append(c.global, args...) }
}

// File replaces a file of the machine, such as /etc/resolv.conf, inside the
// host. The file must exist on the machine, which does not see the change.
func File(path, content string) Option {
	return func(c *config) { c.files = append(c.files, privateFile{path, content}) }
}

// Settle sets how long the cleanup waits for the host to look as it did
// before. The default is 5 s.
func Settle(d time.Duration) Option { return func(c *config) { c.settle = d } }

// Allow accepts differences in a section of the picture (see the Sec
// constants) whose line matches the regular expression. The reason is logged
// whenever it is made use of. Allow panics when line is not a valid
// expression.
func Allow(section, line, reason string) Option {
	a := allowance{section, regexp.MustCompile(line), reason}
	return func(c *config) { c.allow = append(c.allow, a) }
}
