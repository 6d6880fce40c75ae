package logs

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("test", 2*3600)
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, zone)
	utc := func(h, m, s, ns int) time.Time { return time.Date(2026, 1, 2, h, m, s, ns, time.UTC) }
	for in, want := range map[string]time.Time{
		"10m":                            now.Add(-10 * time.Minute),
		"1h30m":                          now.Add(-90 * time.Minute),
		"1.5s":                           now.Add(-1500 * time.Millisecond),
		"-1h":                            now.Add(time.Hour),
		"0s":                             now,
		"0":                              time.Unix(0, 0),
		"1767366245":                     time.Unix(1767366245, 0),
		"1767366245.5":                   time.Unix(1767366245, 500_000_000),
		"1767366245.000000001":           time.Unix(1767366245, 1),
		"2026-01-02T15:04:05Z":           utc(15, 4, 5, 0),
		"2026-01-02T15:04:05.25Z":        utc(15, 4, 5, 250_000_000),
		"2026-01-02T15:04:05.1+01:00":    utc(14, 4, 5, 100_000_000),
		"2026-01-02T15:04:05":            utc(13, 4, 5, 0),
		"2026-01-02T15:04:05.000000001":  utc(13, 4, 5, 1),
		"2026-01-02T15:04":               utc(13, 4, 0, 0),
		"2026-01-02T15:04Z":              utc(15, 4, 0, 0),
		"2026-01-02T15":                  utc(13, 0, 0, 0),
		"2026-01-02T15-01:00":            utc(16, 0, 0, 0),
		"2026-01-02":                     utc(0, 0, 0, 0).Add(-2 * time.Hour),
		"2026-01-02Z":                    utc(0, 0, 0, 0),
		"2026-01-02T23:59:59.999999999Z": utc(23, 59, 59, 999_999_999),
	} {
		if got, err := ParseTime(in, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %s, want %s (%v)", in, got, want, err)
		}
	}
	for _, in := range []string{"", "now", "10", "10 m", "5.", ".5", "1.0000000001", "-1", "+1", "1e9", "99999999999999",
		"2026-13-01", "2026-01-02 15:04", "15:04", "2026-01-02T25:00:00Z", "1767366245.5x"} {
		got, err := ParseTime(in, now)
		if in == "10" { // ten seconds after 1970 began, as Docker has it
			if err != nil || got.Unix() != 10 {
				t.Errorf("%q: %s, %v", in, got, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q: %s, want an error", in, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("10m")
	f.Add("1767366245.5")
	f.Add("2026-01-02T15Z")
	f.Fuzz(func(t *testing.T, in string) {
		if got, err := ParseTime(in, day); err != nil && !got.IsZero() {
			t.Errorf("%q: both %s and %v", in, got, err)
		}
	})
}
