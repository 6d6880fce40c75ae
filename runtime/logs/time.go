package logs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var layouts = [...]string{
	time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02T15Z07:00", "2006-01-02T15", "2006-01-02Z07:00", time.DateOnly,
}

// ParseTime reads the value of --since and --until, as Docker does:
//
//	10m, 1h30m             before now (a duration of time.ParseDuration)
//	1767366245.5           seconds since 1970, with up to nine digits after the point
//	2026-01-02T15:04:05Z   RFC 3339, which may end after the day, hour or minute;
//	                       without a zone it is in now's
func ParseTime(value string, now time.Time) (time.Time, error) {
	// "0" is both a duration and a number of seconds; Docker takes the second.
	if d, err := time.ParseDuration(value); err == nil && value != "0" {
		return now.Add(-d), nil
	}
	if t, ok := parseUnix(value); ok {
		return t, nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, value, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid time %q: use a duration such as 10m, seconds since 1970, or a date such as 2026-01-02T15:04:05Z", value)
}

func parseUnix(value string) (time.Time, bool) {
	whole, fraction, point := strings.Cut(value, ".")
	if point && (fraction == "" || len(fraction) > 9) {
		return time.Time{}, false
	}
	// 37 bits of seconds end in the year 6325: later is a typing error.
	sec, err := strconv.ParseUint(whole, 10, 37)
	if err != nil {
		return time.Time{}, false
	}
	nsec, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 31)
	return time.Unix(int64(sec), int64(nsec)), err == nil
}
