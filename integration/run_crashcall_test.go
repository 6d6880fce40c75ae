package integration

import (
	"fmt"
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
		fired := 0
		for n := 1; n <= 12; n++ {
			cmd := c.Mini("run", "--rm", "--name", "box", "--net", "tiny", "-p", "8080:80", "busybox", "true")
			inject := fmt.Sprintf("inject=%s:signal=KILL:when=%d", calls, n)
			cmd.Args = append([]string{"strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=" + calls, "-e", inject, "--"}, cmd.Args...)
			cmd.Timeout = 20 * time.Second
			r := c.Do(cmd)
			if r.Err != nil {
				t.Fatalf("%s: %v", inject, r)
			}
			c.check(inject, "ps", "-a")
			if r.Code == 0 {
				break // none of the processes came that far
			}
			fired++
		}
		t.Logf("%s: killed at %d moments", calls, fired)
	}
	c.works()
}
