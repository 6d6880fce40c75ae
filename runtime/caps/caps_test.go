package caps

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDefaultIsDockers(t *testing.T) {
	want := strings.Fields(`CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID
		CAP_SETUID CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_NET_RAW CAP_SYS_CHROOT CAP_MKNOD
		CAP_AUDIT_WRITE CAP_SETFCAP`)
	if got := Default(); !slices.Equal(got, want) {
		t.Errorf("Default() = %v, want %v", got, want)
	}
	if lo, hi := Masks(want); lo != 0xa80425fb || hi != 0 {
		t.Errorf("Masks(default) = %#x, %#x", lo, hi)
	}
}

func TestNamesMatchTheKernelsNumbers(t *testing.T) {
	for name, want := range map[string]int{
		"CAP_CHOWN": unix.CAP_CHOWN, "CAP_NET_RAW": unix.CAP_NET_RAW,
		"CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_SYS_RESOURCE": unix.CAP_SYS_RESOURCE,
		"CAP_MKNOD": unix.CAP_MKNOD, "CAP_SETFCAP": unix.CAP_SETFCAP,
		"CAP_MAC_OVERRIDE": unix.CAP_MAC_OVERRIDE, "CAP_AUDIT_READ": unix.CAP_AUDIT_READ,
		"CAP_PERFMON": unix.CAP_PERFMON, "CAP_BPF": unix.CAP_BPF,
	} {
		if got, ok := Number(name); !ok || got != want {
			t.Errorf("Number(%s) = %d, %t, want %d", name, got, ok, want)
		}
	}
	if len(names) != unix.CAP_LAST_CAP+1 {
		t.Errorf("%d names, golang.org/x/sys has %d", len(names), unix.CAP_LAST_CAP+1)
	}
}

func TestResolve(t *testing.T) {
	without := func(list []string, drop ...string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(drop, s) })
	}
	for _, tc := range []struct {
		name      string
		add, drop []string
		want      []string
	}{
		{"nothing", nil, nil, Default()},
		{"add one", []string{"SYS_ADMIN"}, nil, (DefaultSet | 1<<unix.CAP_SYS_ADMIN).Names()},
		{"any spelling", []string{"cap_sys_admin", "Sys_Admin"}, nil, (DefaultSet | 1<<unix.CAP_SYS_ADMIN).Names()},
		{"drop one", nil, []string{"net_raw"}, without(Default(), "CAP_NET_RAW")},
		{"drop what is not there", nil, []string{"SYS_TIME"}, Default()},
		{"in both lists", []string{"NET_RAW"}, []string{"NET_RAW"}, Default()},
		{"drop all", nil, []string{"all"}, []string{}},
		{"drop all, add two", []string{"CHOWN", "BPF"}, []string{"ALL"}, []string{"CAP_CHOWN", "CAP_BPF"}},
		{"add all", []string{"All"}, nil, All()},
		{"add all, drop one", []string{"ALL"}, []string{"CAP_KILL"}, without(All(), "CAP_KILL")},
		{"all in both lists", []string{"ALL"}, []string{"ALL"}, All()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Resolve(tc.add, tc.drop)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got  %v\nwant %v", got, tc.want)
			}
		})
	}
}

func TestInvalid(t *testing.T) {
	for _, tc := range []struct{ word, want string }{
		{"NET_ADMN", `invalid capability: "NET_ADMN", did you mean CAP_NET_ADMIN?`},
		{"cap_sysadmin", `invalid capability: "cap_sysadmin", did you mean CAP_SYS_ADMIN?`},
		{"CAP_FOO", `invalid capability: "CAP_FOO", valid are ALL, CAP_CHOWN, `},
		{"CAP_ALL", `invalid capability: "CAP_ALL", `},
		{"", `invalid capability: "", `},
		{strings.Repeat("x", 1<<16), `invalid capability: "xxx`},
	} {
		for _, err := range []error{
			second(Resolve([]string{"KILL", tc.word}, nil)),
			second(Resolve(nil, []string{tc.word})),
			second(Normalize([]string{tc.word})),
		} {
			var invalid *InvalidError
			if !errors.As(err, &invalid) || invalid.Name != tc.word || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%.20q: error %v, want %s", tc.word, err, tc.want)
			}
		}
	}
}

func second(_ []string, err error) error { return err }

func TestNormalize(t *testing.T) {
	got, err := Normalize([]string{"kill", "CAP_CHOWN", "KILL"})
	if err != nil || !slices.Equal(got, []string{"CAP_KILL", "CAP_CHOWN"}) {
		t.Errorf("got %v, %v", got, err)
	}
	got, err = Normalize([]string{"BPF", "ALL"})
	if err != nil || len(got) != len(names) || got[0] != "CAP_BPF" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestMasks(t *testing.T) {
	for _, tc := range []struct {
		names  []string
		lo, hi uint32
	}{
		{nil, 0, 0},
		{[]string{"CAP_CHOWN"}, 1, 0},
		{[]string{"CAP_SETFCAP", "CAP_MAC_OVERRIDE"}, 1 << 31, 1},
		{[]string{"CAP_CHECKPOINT_RESTORE"}, 0, 1 << 8},
		{[]string{"CAP_FUTURE", "CHOWN"}, 0, 0},
	} {
		if lo, hi := Masks(tc.names); lo != tc.lo || hi != tc.hi {
			t.Errorf("Masks(%v) = %#x, %#x, want %#x, %#x", tc.names, lo, hi, tc.lo, tc.hi)
		}
	}
}

func TestIntersect(t *testing.T) {
	kept, missing := Intersect([]string{"CAP_BPF", "CAP_SYS_RESOURCE", "CAP_CHOWN"}, SetOf([]string{"CAP_CHOWN", "CAP_BPF"}))
	if !slices.Equal(kept, []string{"CAP_BPF", "CAP_CHOWN"}) || !slices.Equal(missing, []string{"CAP_SYS_RESOURCE"}) {
		t.Errorf("kept %v, missing %v", kept, missing)
	}
}

func TestLastCapAgreesWithProc(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	want, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := LastCap(); err != nil || got != want {
		t.Errorf("LastCap() = %d, %v, want %d", got, err, want)
	}
}

func TestAvailableAgreesWithProc(t *testing.T) {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	field := func(name string) Set {
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				n, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
				if err != nil {
					t.Fatal(err)
				}
				return Set(n)
			}
		}
		t.Fatalf("no %s in status", name)
		return 0
	}
	want := field("CapPrm") & field("CapBnd")
	if got, err := Available(); err != nil || got != want {
		t.Errorf("Available() = %#x, %v, want %#x", got, err, want)
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("ALL", "net_raw")
	f.Add("CAP_", "cap_cap_kill")
	f.Fuzz(func(t *testing.T, add, drop string) {
		got, err := Resolve([]string{add}, []string{drop})
		if err != nil {
			var invalid *InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if SetOf(got).Names() == nil || len(SetOf(got).Names()) != len(got) {
			t.Fatalf("names and set differ: %v", got)
		}
	})
}

func BenchmarkAvailable(b *testing.B) {
	for b.Loop() {
		if _, err := Available(); err != nil {
			b.Fatal(err)
		}
	}
}
