package firewall

import (
	"bytes"
	"strings"
)

// JumpsStand asks the kernel itself whether the jumps among rules, which are on
// record, stand where they belong: those that go to the head of a chain above
// everybody's but another mini's, in their order, the others somewhere. It runs no
// program: it costs some 50 µs, where one iptables costs 1.3 ms. That is cheap
// enough for every start. A back end that it does not know is taken to be well.
func JumpsStand(b Backend, rules []Rule) (bool, error) {
	read := readers(b)
	if read == nil {
		return true, nil
	}
	wanted := make(map[Chain][]Rule)
	var chains []Chain
	for _, r := range rules {
		if c := r.Home(); isBuiltin(r.Chain) {
			if wanted[c] == nil {
				chains = append(chains, c)
			}
			wanted[c] = append(wanted[c], r)
		}
	}
	there, err := read(chains)
	if err != nil {
		return false, err
	}
	for c, jumps := range wanted {
		if !stand(there[c], jumps) {
			return false, nil
		}
	}
	return true, nil
}

// isBuiltin tells a chain of the kernel's: ours have a dash, or the bare prefix.
func isBuiltin(chain string) bool {
	switch chain {
	case "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING":
		return true
	}
	return false
}

// rawRule is what can be told of a rule without decoding its matches.
type rawRule struct {
	raw    []byte // has the comment somewhere
	target string // the chain it jumps to, or ""
}

// stand judges one chain. What goes to the head comes to stand above what went
// there before.
func stand(there []rawRule, jumps []Rule) bool {
	var head []Rule
	for _, j := range jumps {
		if j.First {
			head = append([]Rule{j}, head...)
		} else if !anyIs(there, j) {
			return false
		}
	}
	for _, r := range there {
		switch {
		case len(head) == 0:
			return true
		case r.is(head[0]):
			head = head[1:]
		case !bytes.Contains(r.raw, []byte("mini:")):
			return false // somebody's rule above ours
		}
	}
	return len(head) == 0
}

func anyIs(there []rawRule, j Rule) bool {
	for _, r := range there {
		if r.is(j) {
			return true
		}
	}
	return false
}

// is compares the tag and the target. The text of a comment ends with a zero byte.
func (r rawRule) is(j Rule) bool {
	return r.target == j.Spec[len(j.Spec)-1] && bytes.Contains(r.raw, []byte("mini:"+j.Owner()+"\x00"))
}

func cstring(b []byte) string {
	text, _, _ := strings.Cut(string(b), "\x00")
	return text
}

// JumpTargets gives the chains that the rules of a built-in chain jump to, as
// [JumpsStand] reads them. Of a back end that it does not know it gives none.
func JumpTargets(b Backend, c Chain) ([]string, error) {
	read := readers(b)
	if read == nil {
		return nil, nil
	}
	there, err := read([]Chain{c})
	var targets []string
	for _, r := range there[c] {
		if r.target != "" {
			targets = append(targets, r.target)
		}
	}
	return targets, err
}

// readers gives the function that reads chains of a back end, or nil.
func readers(b Backend) func([]Chain) (map[Chain][]rawRule, error) {
	return map[Backend]func([]Chain) (map[Chain][]rawRule, error){NFT: readNFT, Legacy: readLegacy}[b]
}
