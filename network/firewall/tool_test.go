package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/network/port"
)

// enter moves the test's goroutine into new namespaces, which end with it.
func enter(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root")
		}
		t.Skip("SKIPPED: this test needs root")
	}
	goruntime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", "/run", "tmpfs", 0, "")); err != nil {
		t.Fatal(err)
	}
}

func backends(t *testing.T, test func(t *testing.T, tool *Tool)) {
	for _, b := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(b, func(t *testing.T) { enter(t); test(t, New(b)) })
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// everywhere runs a test for both back ends and both families.
func everywhere(t *testing.T, test func(t *testing.T, tool *Tool, f family)) {
	for _, b := range []string{"iptables-nft", "iptables-legacy"} {
		for _, f := range families {
			t.Run(strings.Replace(b, "iptables", f.program(), 1), func(t *testing.T) { enter(t); test(t, New(b), f) })
		}
	}
}

func rules(n int) []Rule { return family(false).rules(n) }

// rules are those of n published ports.
func (f family) rules(n int) []Rule {
	host := map[family]netip.Addr{false: netip.IPv4Unspecified(), true: netip.IPv6Unspecified()}[f]
	var ports []port.Mapping
	for i := range n {
		ports = append(ports, port.Mapping{HostIP: host, HostPort: uint16(1000 + i), ContainerPort: 80, Proto: port.TCP})
	}
	return Publish("TEST", "0123456789ab:web", ports, netip.MustParseAddr("172.17.0.2"), netip.MustParseAddr("fd17::2"))
}

// chain is one of the family.
func (f family) chain(table, name string) Chain { return Chain{Table: table, Name: name, V6: bool(f)} }

func TestToolChains(t *testing.T) {
	everywhere(t, func(t *testing.T, tool *Tool, f family) {
		c := f.chain("nat", "TEST")
		for _, want := range []bool{true, false} {
			made, err := tool.EnsureChain(c)
			if must(t, err); made != want {
				t.Errorf("made: %v, want %v", made, want)
			}
		}
		r := f.rules(1)[0]
		must(t, tool.Add(context.Background(), r))
		gone, err := tool.DeleteChain(c)
		if must(t, err); gone {
			t.Error("a chain with a rule was deleted")
		}
		must(t, tool.Remove(context.Background(), r))
		for range 2 {
			gone, err = tool.DeleteChain(c)
			if must(t, err); !gone {
				t.Error("the empty chain is still there")
			}
		}
		list, err := tool.List(c)
		if must(t, err); len(list) != 0 {
			t.Errorf("a chain that is gone lists %q", list)
		}
		must(t, tool.Remove(context.Background(), r))
		if ok, err := tool.Has(r); ok || err != nil {
			t.Errorf("a rule of a chain that is gone: %v, %v", ok, err)
		}
	})
}

func TestToolBatch(t *testing.T) {
	everywhere(t, func(t *testing.T, tool *Tool, f family) {
		ctx, c := context.Background(), f.chain("nat", "TEST")
		_, err := tool.EnsureChain(c)
		must(t, err)
		batch := f.rules(200) // several pages of input
		must(t, tool.AddAll(ctx, batch))
		list, err := tool.List(c)
		if must(t, err); len(list) != len(batch) {
			t.Fatalf("the chain has %d rules right after AddAll, want %d", len(list), len(batch))
		}
		must(t, tool.Remove(ctx, batch[7])) // a gap does not stop the rest
		must(t, tool.RemoveAll(ctx, batch))
		must(t, tool.RemoveAll(ctx, batch[:2]))
		list, err = tool.List(c)
		if must(t, err); len(list) != 0 {
			t.Errorf("left after RemoveAll: %q", list)
		}
	})
}

func TestToolBatchFails(t *testing.T) {
	everywhere(t, func(t *testing.T, tool *Tool, f family) {
		err := tool.AddAll(context.Background(), f.rules(3))
		var e *CommandError
		if !errors.As(err, &e) || e.Stderr == "" || !strings.Contains(err.Error(), "-restore --noflush") {
			t.Errorf("adding to a missing chain: got %v, want the command and what it said", err)
		}
		if out, err := exec.Command(strings.Replace(tool.path, "iptables", f.program(), 1), "-t", "nat", "-S").Output(); err != nil || strings.Contains(string(out), "mini") {
			t.Errorf("a failed batch left %s, %v", out, err)
		}
	})
}

// TestToolParallel: several processes change one chain at once.
func TestToolParallel(t *testing.T) {
	everywhere(t, func(t *testing.T, tool *Tool, f family) {
		ns, err := os.Open("/proc/thread-self/ns/net")
		must(t, err)
		defer ns.Close()
		_, err = tool.EnsureChain(f.chain("nat", "TEST"))
		must(t, err)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i, r := range f.rules(len(errs)) {
			wg.Go(func() {
				goruntime.LockOSThread() // ends with the goroutine
				if errs[i] = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); errs[i] == nil {
					errs[i] = tool.AddAll(context.Background(), []Rule{r})
				}
			})
		}
		wg.Wait()
		must(t, errors.Join(errs...))
		list, err := tool.List(f.chain("nat", "TEST"))
		if must(t, err); len(list) != len(errs) {
			t.Errorf("got %d rules, want %d", len(list), len(errs))
		}
	})
}

func TestMissingProgram(t *testing.T) {
	tool := New("no-such-iptables")
	if _, err := tool.HasChain(Chain{Table: "nat", Name: "X"}); err == nil || !strings.Contains(err.Error(), "finding the iptables program") {
		t.Errorf("got %v", err)
	}
	if err := tool.AddAll(context.Background(), rules(1)); err == nil || !strings.Contains(err.Error(), "finding the iptables program") {
		t.Errorf("got %v", err)
	}
}

func ExampleRule_AddCommand() {
	ports := []port.Mapping{{HostIP: netip.IPv4Unspecified(), HostPort: 8080, ContainerPort: 80, Proto: port.TCP}}
	fmt.Println(Publish("DOCKER", "a1b2c3d4e5f6:web", ports, netip.MustParseAddr("172.17.0.2"), netip.Addr{})[0].AddCommand())
	// Output:
	// iptables -t nat -A DOCKER -p tcp -m tcp --dport 8080 -m comment --comment mini:a1b2c3d4e5f6:web -j DNAT --to-destination 172.17.0.2:80
}

// TestAddsInheritTheLocks: when the process that adds rules is gone, its locks
// last until the program that it started has ended.
func TestAddsInheritTheLocks(t *testing.T) {
	dir := t.TempDir()
	must(t, unix.Mkfifo(dir+"/started", 0o600))
	must(t, unix.Mkfifo(dir+"/go", 0o600))
	script := "#!/bin/sh\necho x >" + dir + "/started\nread x <" + dir + "/go\n"
	must(t, os.WriteFile(dir+"/ipt", []byte(script), 0o700))
	must(t, os.WriteFile(dir+"/ipt-restore", []byte(script), 0o700))
	lock := func(name string) *os.File {
		f, err := os.OpenFile(dir+"/"+name, os.O_RDWR|os.O_CREATE, 0o600)
		must(t, err)
		must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
		return f
	}
	life, loan := lock("life"), lock("loan")
	tool := New(dir + "/ipt")
	tool.Hold = func() []*os.File { return []*os.File{life} }
	end := tool.Lend(loan)
	added := make(chan error, 1)
	go func() { added <- tool.AddAll(context.Background(), rules(1)) }()
	_, err := os.ReadFile(dir + "/started")
	must(t, err)
	must(t, errors.Join(life.Close(), loan.Close()))
	end()
	for _, name := range []string{"life", "loan"} {
		f, err := os.Open(dir + "/" + name)
		must(t, err)
		defer f.Close()
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			t.Errorf("lock %s while the program runs: got %v, want EWOULDBLOCK", name, err)
		}
	}
	must(t, os.WriteFile(dir+"/go", []byte("x\n"), 0))
	must(t, <-added)
	must(t, errors.Join(lock("life").Close(), lock("loan").Close()))
}

func TestAddTogether(t *testing.T) {
	everywhere(t, func(t *testing.T, tool *Tool, f family) {
		ctx := context.Background()
		mine, theirs := f.chain("nat", "TEST"), f.chain("filter", "THEIRS")
		foreign := f.rule("filter", "THEIRS", "-i foreign0", "0123456789abc:web", "DROP")
		must(t, errors.Join(ensureChain(tool, theirs), tool.Add(ctx, foreign)))
		all := append(f.rules(3), f.rule("filter", "THEIRS", "", "0123456789ab:web", "RETURN"))
		bad := append(slices.Clone(all), f.rule("nat", "TEST", "", "0123456789ab:web", "NOTHING"))
		if made, ok, err := tool.AddTogether(ctx, []Chain{mine, theirs}, bad); err == nil || !ok || !slices.Equal(made, []Chain{mine}) {
			t.Errorf("a bad rule: made %v, ok %v, error %v", made, ok, err)
		}
		must(t, tool.RemoveAll(ctx, all))
		if made, ok, err := tool.AddTogether(ctx, []Chain{mine, theirs}, all); err != nil || !ok || !slices.Equal(made, []Chain{mine}) {
			t.Errorf("made %v, ok %v, error %v, want one chain of two", made, ok, err)
		}
		if there, err := tool.HasAll(ctx, append(all, foreign)); !there || err != nil {
			t.Errorf("the rules are not there: %v", err)
		}
		if made, ok, err := tool.AddTogether(ctx, []Chain{mine, f.chain("nat", "MORE")}, all[:1]); err != nil || ok || made != nil {
			t.Errorf("with a rule of the owner: made %v, ok %v, error %v, want nothing", made, ok, err)
		}
		if ok, err := tool.HasChain(f.chain("nat", "MORE")); ok || err != nil {
			t.Errorf("a chain was made: %v", err)
		}
	})
}

func ensureChain(tool *Tool, c Chain) error {
	_, err := tool.EnsureChain(c)
	return err
}

// TestAProgramThatFailsOnce is run again: a Tool lives as long as a container.
func TestAProgramThatFailsOnce(t *testing.T) {
	enter(t)
	program := t.TempDir() + "/ipt"
	must(t, os.WriteFile(program, []byte("#!/bin/sh\nkill -9 $$\n"), 0o700))
	tool := New(program)
	if _, err := tool.HasChain(Chain{Table: "nat", Name: "X"}); err == nil {
		t.Fatal("a program that was killed answered")
	}
	must(t, os.WriteFile(program, []byte("#!/bin/sh\nexec iptables-legacy \"$@\"\n"), 0o700))
	if _, err := tool.HasChain(Chain{Table: "nat", Name: "X"}); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

// TestLockHeldForLong: a program that keeps the lock of the legacy programs is
// not waited for without a bound, and the error says what is in the way.
func TestLockHeldForLong(t *testing.T) {
	enter(t)
	tool := New("iptables-legacy")
	tool.Wait = 1
	must(t, tool.AddAll(context.Background(), nil))
	_, err := tool.EnsureChain(Chain{Table: "nat", Name: "TEST"})
	must(t, err)
	f, err := os.OpenFile("/run/xtables.lock", os.O_RDONLY|os.O_CREATE, 0o600)
	must(t, err)
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	_, chain := tool.EnsureChain(Chain{Table: "nat", Name: "OTHER"})
	for what, err := range map[string]error{
		"adding": tool.AddAll(context.Background(), rules(1)), "deleting": tool.RemoveAll(context.Background(), rules(1)), "making a chain": chain,
	} {
		if err == nil || !strings.Contains(err.Error(), "Another app is currently holding the xtables lock") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	must(t, f.Close())
	must(t, tool.AddAll(context.Background(), rules(1)))
}
