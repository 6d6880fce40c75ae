package network

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestBypassedFirewalls: a note when a port is open to others beside ufw, and
// only then.
func TestBypassedFirewalls(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, backend, "0")
			def := w.find(Bridge)
			w.start(def, "a", "8080:80")
			if len(w.notices) > 0 {
				t.Errorf("without ufw it says %q", w.notices)
			}
			w.sh(backend + " -N ufw-before-forward; " + backend + " -A FORWARD -j ufw-before-forward")
			w.start(def, "b", "127.0.0.1:8081:80")
			w.start(def, "c")
			if len(w.notices) > 0 {
				t.Errorf("of ports that stay on this host it says %q", w.notices)
			}
			w.start(def, "d", "127.0.0.1:8082:80", "8083:80")
			if len(w.notices) != 1 || !strings.HasPrefix(w.notices[0], "ufw is active, but does not filter published ports: 0.0.0.0:8083->80/tcp is open to everybody who reaches this host.") {
				t.Errorf("it says %q", w.notices)
			}
			if note := w.m.Bypassed(w.ports("[::1]:8084:80", "[::]:8085:80")); !strings.Contains(note, ": [::]:8085->80/tcp is open to everybody who reaches this host.") ||
				!strings.HasSuffix(note, "-p [::1]:… keeps a port on this host") {
				t.Errorf("of IPv6 it says %q", note)
			}
		})
	}
}

func TestFirewalldActive(t *testing.T) {
	dir := t.TempDir()
	program, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/firewalld", program, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/firewalld", "100")
	// A fork of another test may still have the program open for writing.
	for deadline := time.Now().Add(5 * time.Second); ; {
		if err = cmd.Start(); err == nil || time.Now().After(deadline) || !strings.Contains(err.Error(), "busy") {
			break
		}
		cmd = exec.Command(dir+"/firewalld", "100")
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	file := dir + "/pid"
	if firewalldActive(file) {
		t.Error("without a file it is active")
	}
	for pid, want := range map[int]bool{cmd.Process.Pid: true, os.Getpid(): false, 1 << 30: false} {
		if err := os.WriteFile(file, []byte(strconv.Itoa(pid)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := firewalldActive(file); got != want {
			t.Errorf("process %d: active %v, want %v", pid, got, want)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	if err := os.WriteFile(file, []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	if firewalldActive(file) {
		t.Error("a dead one is active")
	}
}

// BenchmarkBypassed is what the question costs a start that publishes a port.
func BenchmarkBypassed(b *testing.B) {
	w := makeWorld(b, "iptables-nft", "0")
	ports := w.ports("0.0.0.0:8080:80")
	for b.Loop() {
		w.m.Bypassed(ports)
	}
}
