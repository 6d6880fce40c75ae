package integration

import (
	"testing"

	"github.com/minirt/mini/integration/host"
)

// TestIPv6KilledAtAnyCall: whichever of mini's processes is killed, at whichever of
// its system calls, nothing is left of a container's IPv6: neither links nor rules nor
// the address, which is one that is kept by name.
func TestIPv6KilledAtAnyCall(t *testing.T) {
	t.Parallel()
	needStrace(t)
	const ip = "fd00:1::dead:beef:0:1"
	h := busyboxHost(t, host.IPv6())
	must(t, h.Run("network", "create", "--ipv6", "--subnet", redSix, "--subnet", "10.61.0.0/30", "red"))
	must(t, h.Run("run", "--rm", "--net", "red", "--ip6", ip, "-p", "8080:80", "busybox", "true"))
	c := calmAfter(t, h)
	for _, calls := range []string{"symlinkat", "unlinkat", "mkdirat", "renameat,renameat2,rename", "sendto,sendmsg", "ftruncate,mmap", "setns"} {
		c.killStarts("--net red --ip6 "+ip, calls)
	}
	kinds := append(c.ruleCalls(), "symlinkat", "renameat,renameat2,rename", "setns")
	c.killAtEachCall("--net tiny", "network connect --ip6 "+ip+" --gw-priority 1 red box", kinds...)
	wantOut(t, c.Run("run", "--rm", "--net", "red", "--ip6", ip, "busybox", "sh", "-c", "ip -6 -o addr show dev eth0 scope global | tr -s ' ' | cut -d' ' -f4"), ip+"/64")
	c.works()
}
