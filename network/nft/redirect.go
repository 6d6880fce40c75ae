package nft

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/plan"
)

// Proto is an IP protocol that has ports.
type Proto byte

// The protocols.
const (
	TCP Proto = unix.IPPROTO_TCP
	UDP Proto = unix.IPPROTO_UDP
)

// String gives the name that nft(8) has for it.
func (p Proto) String() string {
	if p == UDP {
		return "udp"
	}
	return "tcp"
}

// Redirect sends what goes to one IPv4 address and port to another.
type Redirect struct {
	Proto    Proto
	From, To netip.AddrPort
	// Comment says whose rule it is. At most 127 bytes, without quotes.
	Comment string
}

// String gives the rule as nft(8) reads and prints it.
func (r Redirect) String() string {
	return fmt.Sprintf("ip daddr %s %s dport %d dnat to %s comment %q",
		r.From.Addr(), r.Proto, r.From.Port(), r.To, r.Comment)
}

// Table is an IPv4 table of one chain, which sees the first packet of each
// connection that begins in the namespace.
type Table struct {
	Name  string
	Chain string
	Rules []Redirect
}

// dstnat is the priority at which destinations are rewritten, as by iptables.
const dstnat = -100

// Commands gives what a person would type to make the table. Each begins with
// the words of prefix.
func (t Table) Commands(prefix ...string) []string {
	line := func(words ...string) string {
		return plan.Command(append(append([]string(nil), prefix...), append([]string{"nft"}, words...)...)...)
	}
	out := []string{
		line("add", "table", "ip", t.Name),
		line(fmt.Sprintf("add chain ip %s %s { type nat hook output priority %d ; }", t.Name, t.Chain, dstnat)),
	}
	for _, r := range t.Rules {
		out = append(out, line(fmt.Sprintf("add rule ip %s %s %s", t.Name, t.Chain, r)))
	}
	return out
}

// Add makes the table in the calling thread's network namespace.
func (t Table) Add() error {
	b := new(batch)
	t.addTo(b)
	err := b.send()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ENOENT):
		return fmt.Errorf("adding the nftables table %s: %w (does the kernel have nf_tables with NAT: CONFIG_NF_TABLES_IPV4, CONFIG_NFT_NAT?)", t.Name, err)
	}
	return fmt.Errorf("adding the nftables table %s: %w", t.Name, err)
}

func (t Table) addTo(b *batch) {
	b.table(unix.NFT_MSG_NEWTABLE, t.Name)
	b.outputChain(t.Name, t.Chain)
	for _, r := range t.Rules {
		b.rule(t.Name, t.Chain, r)
	}
}

// Delete removes the table with all that is in it from the calling thread's
// network namespace. It is no error when there is none.
func (t Table) Delete() error {
	b := new(batch)
	b.table(unix.NFT_MSG_DELTABLE, t.Name)
	if err := b.send(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("deleting the nftables table %s: %w", t.Name, err)
	}
	return nil
}
