package main

import (
	"cmp"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	const text = "42 (a) b (c)) S 7 42 42 34817 42 0 0 0 0 0 150 50 0 0 20 0 1 0 6000 0 0\n"
	p, err := parseStat(text)
	if err != nil {
		t.Fatal(err)
	}
	p.command = "sleep 9"
	p.uid = 4294967290 // nobody has this number
	boot := noon.Add(-time.Hour)
	want := []string{"4294967290", "42", "7", "0", "11:01", "pts/1", "00:00:02", "sleep 9"}
	if got := p.columns(boot, noon); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, in := range []string{"", "1", "1 (x", "1 (x) S", "x" + text, ") ( 1"} {
		if p, err := parseStat(in); err == nil {
			t.Errorf("%q: got %+v", in, p)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("42 (a) S 7 42 42 34817 42 0 0 0 0 0 150 50 0 0 20 0 1 0 6000 0 0")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parseStat(text); err == nil {
			p.columns(noon, noon)
		}
	})
}

func TestStartText(t *testing.T) {
	for ago, want := range map[time.Duration]string{time.Hour: "11:00", 36 * time.Hour: "Jan01", 800 * 24 * time.Hour: "2023"} {
		if got := startText(noon.Add(-ago), noon); got != want {
			t.Errorf("%v ago: got %s, want %s", ago, got, want)
		}
	}
}

func TestTTYName(t *testing.T) {
	for nr, want := range map[int]string{0: "?", 136<<8 | 3: "pts/3", 136<<8 | 1<<20 | 5: "pts/261", 4<<8 | 1: "tty1", 4<<8 | 64: "ttyS0"} {
		if got := ttyName(nr); got != want {
			t.Errorf("%d: got %s, want %s", nr, got, want)
		}
	}
}

func TestBareShell(t *testing.T) {
	for line, want := range map[string]bool{
		"sh": true, "/bin/bash": true, "zsh": true, "sh -c x": false, "true": false, "": false, "shell": false,
	} {
		if got := isBareShell(strings.Fields(line)); got != want {
			t.Errorf("%q: got %v", line, got)
		}
	}
}

func TestProxiedSignals(t *testing.T) {
	list := proxied()
	for sig, want := range map[syscall.Signal]bool{
		unix.SIGTERM: true, unix.SIGINT: true, unix.SIGHUP: true, unix.SIGQUIT: true, unix.SIGUSR1: true, unix.SIGUSR2: true,
		unix.SIGCHLD: false, unix.SIGPIPE: false, unix.SIGKILL: false, unix.SIGTSTP: false, unix.SIGURG: false,
	} {
		if got := slices.ContainsFunc(list, func(s os.Signal) bool { return s == sig }); got != want {
			t.Errorf("%v: got %v", sig, got)
		}
	}
}

// TestCompletionScripts has each shell that is installed read its script.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := runMini(t, "completion", shell)
		mustContain(t, shell, got.out, "network create", "--publish"[2:], "mini ps -a --format")
		if _, err := exec.LookPath(shell); err != nil {
			continue // not everybody has all three
		}
		check := exec.Command(shell, "-n", "/dev/stdin")
		check.Stdin = strings.NewReader(got.out)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", shell, err, out)
		}
	}
}

func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("bash is needed: the scripts of this project are for it")
	}
	script := runMini(t, "completion", "bash").out
	for line, want := range map[string]string{
		"mini netw":                "network",
		"mini network cr":          "create",
		"mini network create --s":  "--scope --subnet",
		"mini run --pub":           "--publish --publish-all",
		"mini --root /x run --pub": "--publish --publish-all",
		"mini exec -it w":          "web",
	} {
		program := "mini() { echo web; }; COMP_WORDS=(" + line + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _mini; echo ${COMPREPLY[*]}"
		out, err := exec.Command(bash, "-c", script+program).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", line, got, err, want)
		}
	}
}

func TestTruncateAndShorten(t *testing.T) {
	if got := shorten("äöüß", 3); got != "äö…" {
		t.Errorf("got %q", got)
	}
	if got := truncate("äöü", 2); got != "äö" {
		t.Errorf("got %q", got)
	}
	if got := shorten("abc", 3); got != "abc" {
		t.Errorf("got %q", got)
	}
}

// TestForced: what is not there is no error, and Docker prints a volume's name
// only.
func TestForced(t *testing.T) {
	for line, want := range map[string]string{"network rm -f no": "", "volume rm -f no": "no\n"} {
		if got := runMini(t, strings.Fields(line)...); got != (ran{out: want}) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestNaturally(t *testing.T) {
	sorted := []string{"", "01", "1", "2", "10", "B", "a", "a01", "a1", "a2", "a2b", "a10", "a10b1", "a10b02", "ab", "b"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := naturally(a, b); got != cmp.Compare(i, j) {
				t.Errorf("naturally(%q, %q) = %d", a, b, got)
			}
		}
	}
}

func TestNetworksAreSortedNaturally(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"net10", "net2", "Net3"} {
		if got := runMini(t, "--root", root, "network", "create", name); got.code != 0 {
			t.Fatal(got.err)
		}
	}
	got := runMini(t, "--root", root, "network", "ls", "--format", "{{.Name}}")
	if want := "Net3\nbridge\nhost\nnet2\nnet10\nnone\n"; got.out != want {
		t.Errorf("got %q, want %q", got.out, want)
	}
}
