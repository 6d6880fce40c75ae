package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKilledAtAnyCall kills whichever of mini's processes makes a certain
// system call for the nth time, with strace.
func TestKilledAtAnyCall(t *testing.T) {
	t.Parallel()
	needStrace(t)
	c := newCalm(t)
	for _, calls := range []string{
		"symlinkat", "renameat,renameat2,rename", "mkdirat", "unlinkat", "clone3,clone,vfork", "bind,listen", "sendto,sendmsg", "mount,move_mount",
		"pivot_root", "execve", "fcntl", "ftruncate,mmap", "wait4,waitid", "setns", "pwrite64",
	} {
		c.killStarts("--net tiny", calls)
	}
	c.works()
}

// killStarts kills whichever of mini's processes makes one of the calls for the
// nth time, while a container starts and ends.
func (c calm) killStarts(flags, calls string) {
	c.t.Helper()
	fired := 0
	for n := 1; n <= 12; n++ {
		args := slices.Concat([]string{"run", "--rm", "--name", "box"}, strings.Fields(flags), []string{"-p", "8080:80", "busybox", "true"})
		cmd := c.Mini(args...)
		inject := fmt.Sprintf("inject=%s:signal=KILL:when=%d", calls, n)
		cmd.Args = append([]string{"strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=" + calls, "-e", inject, "--"}, cmd.Args...)
		cmd.Timeout = 20 * time.Second
		r := c.Do(cmd)
		if r.Err != nil {
			c.t.Fatalf("%s: %v", inject, r)
		}
		c.check(inject, "ps", "-a")
		if r.Code == 0 {
			break // none of the processes came that far
		}
		fired++
	}
	c.t.Logf("%s: killed at %d moments", calls, fired)
}
