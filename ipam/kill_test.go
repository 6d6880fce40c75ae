package ipam

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const victimEnv = "MINI_IPAM_TEST_VICTIM"

// TestMain runs the test binary as a victim when a test started it as one.
func TestMain(m *testing.M) {
	if args := os.Getenv(victimEnv); args != "" {
		fmt.Fprintln(os.Stderr, victim(strings.Fields(args)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var victimConfig = Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.0/25")}

// victim takes and releases addresses until it is killed. It says what it is
// about to do and, when done, what it did; see replay.
func victim(args []string) error {
	path, id := args[0], args[1]
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return err
	}
	owner := Owner(n)
	r := rand.New(rand.NewPCG(n, 9))
	var held []netip.Addr
	for {
		f, err := OpenFile(path, victimConfig)
		if err != nil {
			return err
		}
		for range r.IntN(10) {
			if held, err = victimStep(f, owner, held, r); err != nil {
				return err
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
}

func victimStep(f *File, owner Owner, held []netip.Addr, r *rand.Rand) ([]netip.Addr, error) {
	if len(held) < 40 && r.IntN(2) == 0 || len(held) == 0 {
		fmt.Println("take?")
		a, err := f.Allocate(owner)
		fmt.Println("took", a)
		return append(held, a), err
	}
	i := r.IntN(len(held))
	a := held[i]
	fmt.Println("release?", a)
	ok, err := f.Release(a, owner)
	if err == nil && !ok {
		err = fmt.Errorf("%s was not ours any more", a)
	}
	fmt.Println("released", a)
	held[i] = held[len(held)-1]
	return held[:len(held)-1], err
}

// replay follows a victim's words. held is what it has for certain; unsure
// is the address it was about to release, or "new" for one it was about to
// take, when it was killed.
func replay(words string) (held map[string]bool, unsure string) {
	held = map[string]bool{}
	complete := strings.LastIndexByte(words, '\n') + 1
	for line := range strings.Lines(words[:complete]) {
		verb, a, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "take?":
			unsure = "new"
		case "took":
			held[a], unsure = true, ""
		case "release?":
			unsure = a
		case "released":
			delete(held, a)
			unsure = ""
		}
	}
	return held, unsure
}

func TestKilledProcessesLoseNothing(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for round := range rounds {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("pool%d", round))
		const victims = 3
		words := make([]string, victims)
		var stops []func() string
		for v := range victims {
			stops = append(stops, startVictim(t, path, v+1, r.IntN(400)))
		}
		for v, stop := range stops {
			words[v] = stop()
		}
		checkSurvivor(t, path, words)
	}
}

// startVictim starts a victim that is killed after it has said some lines. The
// returned function waits for its death and gives all it said.
func startVictim(t *testing.T, path string, id, lines int) func() string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", victimEnv, path, id))
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		var all strings.Builder
		in := bufio.NewReaderSize(out, 16)
		for range lines {
			line, err := in.ReadString('\n')
			all.WriteString(line)
			if err != nil {
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("victim %d: %v", id, err)
		}
		if _, err := io.Copy(&all, in); err != nil {
			t.Errorf("victim %d: %v", id, err)
		}
		said <- all.String()
	}()
	return func() string {
		words := <-said
		if err := cmd.Wait(); err == nil || complaint.Len() > 0 {
			t.Errorf("victim %d ended by itself: %v: %s", id, err, complaint.String())
		}
		return words
	}
}

// checkSurvivor wants the file to hold exactly what the victims held, give or
// take what each was doing when it died, and all the rest to be free.
func checkSurvivor(t *testing.T, path string, words []string) {
	t.Helper()
	f := openFile(t, path, victimConfig)
	has := map[Owner]map[string]bool{}
	for a, o := range f.Owned() {
		if has[o] == nil {
			has[o] = map[string]bool{}
		}
		has[o][a.String()] = true
	}
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	for v, said := range words {
		held, unsure := replay(said)
		got := has[Owner(v+1)]
		for a := range got {
			if !held[a] && unsure == "new" {
				held[a], unsure = true, ""
			}
		}
		if !got[unsure] {
			delete(held, unsure)
		}
		if len(got)+len(held) > 0 && !maps.Equal(got, held) {
			t.Fatalf("victim %d had %v (unsure: %q), the file says %v", v+1, held, unsure, got)
		}
	}
	releaseAll(t, f)
}

// releaseAll does what recovery does and wants a whole pool afterwards.
func releaseAll(t *testing.T, f *File) {
	t.Helper()
	for a, o := range f.Owned() {
		if ok, err := f.Release(a, o); !ok || err != nil {
			t.Fatalf("Release(%s): %t, %v", a, ok, err)
		}
	}
	free, err := f.Free()
	if err != nil || free != 128-2 {
		t.Fatalf("free: %d, %v", free, err)
	}
	seen := map[netip.Addr]bool{}
	for range free {
		seen[allocate(t, f, alice, "")] = true
	}
	if len(seen) != free {
		t.Fatalf("%d different addresses, want %d", len(seen), free)
	}
}
