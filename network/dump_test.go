package network

import (
	"errors"
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
)

// TestDump: a list that others changed is asked for again, but not for ever, and
// other errors count at once.
func TestDump(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		fails int
		err   error
		asked int
		want  error
	}{
		{0, nil, 1, nil},
		{3, netlink.ErrDumpInterrupted, 4, nil},
		{dumpTries, netlink.ErrDumpInterrupted, dumpTries, netlink.ErrDumpInterrupted},
		{1, broken, 1, broken},
	} {
		asked := 0
		all, err := dump(func() ([]int, error) {
			if asked++; asked <= c.fails {
				return []int{1}, c.err
			}
			return []int{1, 2}, nil
		})
		if asked != c.asked || !errors.Is(err, c.want) || err == nil && fmt.Sprint(all) != "[1 2]" {
			t.Errorf("%d failures: asked %d times, got %v, error %v", c.fails, asked, all, err)
		}
	}
}
