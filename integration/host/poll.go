package host

import (
	"fmt"
	"testing"
	"time"
)

// Poll calls f until it returns nil or d has passed, and returns its last
// error then. f is called at least once, and at least once after d.
func Poll(d time.Duration, f func() error) error {
	end := time.Now().Add(d)
	pause := time.Millisecond
	for {
		last := !time.Now().Before(end)
		err := f()
		if err == nil {
			return nil
		}
		if last {
			return fmt.Errorf("still so after %v: %w", d, err)
		}
		time.Sleep(min(pause, max(time.Until(end), 0)))
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// Eventually fails the test at once when f goes on returning an error for d.
func Eventually(t testing.TB, d time.Duration, f func() error) {
	t.Helper()
	if err := Poll(d, f); err != nil {
		t.Fatal(err)
	}
}
