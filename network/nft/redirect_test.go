package nft

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace calls fn on a thread in a new, empty network namespace.
func inNamespace(t *testing.T, fn func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root, and CI=true forbids to skip it")
		}
		t.Skip("SKIPPED, NOT TESTED: this test needs root")
	}
	done := make(chan error)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			fn()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func ruleset(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Errorf("nft list ruleset: %v: %s", err, out)
	}
	return string(out)
}

func sample() Table {
	from, to := netip.MustParseAddrPort("127.0.0.11:53"), netip.MustParseAddrPort("127.0.0.11:40001")
	return Table{Name: "mini", Chain: "names", Rules: []Redirect{
		{Proto: UDP, From: from, To: to, Comment: "mini:0123456789ab:web"},
		{Proto: TCP, From: from, To: to, Comment: "mini:0123456789ab:web"},
	}}
}

const printed = `table ip mini {
	chain names {
		type nat hook output priority -100; policy accept;
		ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:40001 comment "mini:0123456789ab:web"
		ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:40001 comment "mini:0123456789ab:web"
	}
}
`

// TestTable: what the messages build is what nft prints, and what the commands
// build is the same.
func TestTable(t *testing.T) {
	byMessages, byCommands := "", ""
	inNamespace(t, func() {
		if err := sample().Add(); err != nil {
			t.Errorf("Add: %v", err)
		}
		byMessages = ruleset(t)
	})
	inNamespace(t, func() {
		out, err := exec.Command("sh", "-euc", strings.Join(sample().Commands(), "\n")).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		byCommands = ruleset(t)
	})
	if byMessages != printed {
		t.Errorf("the messages made\n%s\nwant\n%s", byMessages, printed)
	}
	if byCommands != byMessages {
		t.Errorf("the commands made\n%s\nthe messages\n%s", byCommands, byMessages)
	}
}

// TestDelete of a table that is there, and of one that is not.
func TestDelete(t *testing.T) {
	inNamespace(t, func() {
		for range 2 {
			if err := sample().Delete(); err != nil {
				t.Errorf("deleting nothing: %v", err)
			}
			if err := sample().Add(); err != nil {
				t.Errorf("Add: %v", err)
			}
			if err := sample().Delete(); err != nil {
				t.Errorf("Delete: %v", err)
			}
			if got := ruleset(t); got != "" {
				t.Errorf("deleted, but there is\n%s", got)
			}
		}
	})
}

// TestAllOrNothing: a rule that the kernel refuses takes the table with it.
func TestAllOrNothing(t *testing.T) {
	inNamespace(t, func() {
		table := sample()
		table.Rules[1].Comment = strings.Repeat("x", 300) // longer than nft allows
		err := table.Add()
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ERANGE) {
			t.Errorf("got error %v", err)
		}
		if got := ruleset(t); got != "" {
			t.Errorf("refused, but there is\n%s", got)
		}
	})
}

func TestCommandsWithPrefix(t *testing.T) {
	got := sample().Commands("ip", "netns", "exec", "mini-web")[0]
	if want := "ip netns exec mini-web nft add table ip mini"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzReadAnswers(f *testing.F) {
	f.Add(make([]byte, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, _ := readAnswers(b); n > len(b)/20 {
			t.Errorf("%d answers in %d bytes", n, len(b))
		}
	})
}

// TestStands: a table that lacks a rule, or leads elsewhere, is not the one; replacing
// it makes it so, whatever was there.
func TestStands(t *testing.T) {
	inNamespace(t, func() {
		table := sample()
		wants := func(when string, want bool) {
			t.Helper()
			if got, err := table.Stands(); got != want || err != nil {
				t.Errorf("%s: it stands: %v, %v", when, got, err)
			}
		}
		nft := func(words ...string) {
			t.Helper()
			if out, err := exec.Command("nft", words...).CombinedOutput(); err != nil {
				t.Fatalf("nft %s: %v: %s", words, err, out)
			}
		}
		wants("in an empty namespace", false)
		for _, hurt := range [][]string{
			{"list", "tables"}, // nothing is there yet
			{"flush", "ruleset"}, {"flush", "chain", "ip", "mini", "names"}, {"delete", "table", "ip", "mini"},
			{"replace rule ip mini names handle 2 ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:40002"},
			{"delete rule ip mini names handle 3"},
		} {
			nft(hurt...)
			wants(strings.Join(hurt, " "), false)
			if err := table.Replace(); err != nil {
				t.Error(err)
			}
			wants("after "+strings.Join(hurt, " "), true)
			if got := ruleset(t); got != printed {
				t.Errorf("after %s:\n%s", hurt, got)
			}
		}
	})
}
