package netns

import (
	"errors"
	"os"
	goruntime "runtime"
	"strings"
	"testing"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root")
	}
	t.Skip("SKIPPED: this test needs root")
}

// id names the calling thread's namespace.
func id(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink(self)
	if err != nil {
		t.Error(err)
	}
	return name
}

func TestDoIsElsewhereAndComesBack(t *testing.T) {
	needRoot(t)
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	home := id(t)
	ns, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	boom := errors.New("boom")
	for range 50 { // the pool's threads must all come back
		inside := ""
		err := Do(ns, func() error { inside = id(t); return boom })
		if !errors.Is(err, boom) || inside == home || inside == "" {
			t.Fatalf("inside: %s, home: %s, error %v", inside, home, err)
		}
		if err := Do(ns, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		after := make(chan string)
		go func() { after <- id(t) }()
		if got := <-after; got != home || id(t) != home {
			t.Fatalf("a thread stayed in %s", got)
		}
	}
}

func TestOpenStaysInside(t *testing.T) {
	needRoot(t)
	ns, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	h, err := Open(ns, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	links, err := h.LinkList()
	if err != nil || len(links) == 0 || links[0].Attrs().Name != "lo" {
		t.Fatalf("links %v, error %v", links, err)
	}
	for _, l := range links {
		if l.Attrs().MasterIndex != 0 {
			t.Errorf("a new namespace has the port %s", l.Attrs().Name)
		}
	}
	boom := errors.New("boom")
	if _, err := Open(ns, func() error { return boom }); !errors.Is(err, boom) {
		t.Errorf("got %v, want the error of prepare", err)
	}
}

func TestNotANamespace(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = Do(f, func() error { t.Error("ran"); return nil })
	if err == nil || !strings.Contains(err.Error(), "entering network namespace /dev/null") {
		t.Errorf("got %v", err)
	}
}
