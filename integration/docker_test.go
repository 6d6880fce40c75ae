package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// dockerHost is a host on which a real dockerd can run beside mini. It has a PID
// and a mount namespace of its own, so that nothing of it outlives the test.
type dockerHost struct {
	*host.Host
	t      testing.TB
	daemon *host.Process
	flags  []string // more of dockerd's
}

func newDockerHost(t testing.TB, b host.Backend, opts ...host.Option) *dockerHost {
	t.Helper()
	if _, err := os.Stat("/usr/sbin/dockerd"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs docker.io, and CI=true forbids to skip it")
		}
		t.Skip("SKIPPED, NOT TESTED: this test needs docker.io")
	}
	h := &dockerHost{Host: busyboxHost(t, append(opts, host.Iptables(b))...), t: t}
	const reason = "it is dockerd's"
	for section, line := range map[string]string{
		host.SecCgroups: "docker", host.SecRun: "docker|containerd|xtables", host.SecSysctl: "^net/(bridge|ipv6|ipv4)/", host.SecNFT: ".", host.SecTmp: "containerd",
		host.SecRules: `chain \S+ policy ACCEPT`,
	} {
		h.Allow(section, line, reason)
	}
	if err := h.ServeAddr(host.Outside, "192.0.2.2:8000"); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *dockerHost) path(name string) string { return filepath.Join(h.Dir, "docker", name) }

// ownCgroups runs its arguments with the host's cgroups as the roots of all
// hierarchies: runc looks for its cgroup below the mount by the path from the root.
const ownCgroups = `set -e
grep ' /sys/fs/cgroup[^ ]* cgroup' /proc/mounts | while read -r _ dir _ _; do echo $$ >"$dir/cgroup.procs"; done
exec unshare --pid --fork --kill-child --mount-proc --cgroup sh -ec '
	all=$(grep " /sys/fs/cgroup[^ ]* cgroup" /proc/mounts | sort -u -k 2,2)
	[ -d /sys/fs/cgroup/unified ] && mount -t tmpfs tmpfs /sys/fs/cgroup
	echo "$all" | while read -r _ dir type opts _; do
		opts=$(echo "$opts" | tr , "\n" | grep -vxE "rw|ro|relatime|xattr|nosuid|nodev|noexec|clone_children|nsdelegate|memory_recursiveprot" | paste -sd ,)
		case $opts in *name=*) opts=none,$opts ;; esac
		mkdir -p "$dir"
		mount -t "$type" ${opts:+-o "$opts"} "$type" "$dir"
	done
	exec "$@"' sh "$@"`

// startDocker starts dockerd and waits until it answers.
func (h *dockerHost) startDocker() {
	h.t.Helper()
	if err := os.MkdirAll(h.path(""), 0o755); err != nil {
		h.t.Fatal(err)
	}
	args := []string{
		"sh", "-c", ownCgroups, "sh", "dockerd", "--data-root", h.path("data"), "--exec-root", h.path("exec"), "-H", "unix://" + h.path("sock"), "-p", h.path("pid"), "--iptables=true",
	}
	h.daemon = h.Start(host.Command{Args: append(args, h.flags...)})
	deadline := time.Now().Add(time.Minute)
	for h.docker("version").Code != 0 {
		if r := h.daemon.Wait(100 * time.Millisecond); r.Code >= 0 || time.Now().After(deadline) {
			h.t.Fatalf("dockerd does not start:\n%v", r)
		}
	}
}

// stopDocker kills process 1 of dockerd's namespace, and all others with it.
func (h *dockerHost) stopDocker() {
	h.t.Helper()
	if err := h.daemon.Signal(syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	h.daemon.Wait(patience)
	// The numbers of processes in there are void.
	if err := errors.Join(os.RemoveAll(h.path("pid")), os.RemoveAll(h.path("exec"))); err != nil {
		h.t.Fatal(err)
	}
}

func (h *dockerHost) docker(args ...string) host.Result {
	return h.Exec(append([]string{"/usr/bin/docker", "-H", "unix://" + h.path("sock")}, args...)...)
}

// prepareDocker gives dockerd the image.
func (h *dockerHost) prepareDocker() {
	h.t.Helper()
	tarball, err := host.Busybox()
	if err != nil {
		h.t.Fatal(err)
	}
	must(h.t, h.docker("import", tarball, "busybox"))
}

func (h *dockerHost) runDockerWeb() {
	h.t.Helper()
	args := []string{"run", "-d", "--name", "dweb", "-p", "9090:80", "--restart", "always"}
	must(h.t, h.docker(append(append(args, "busybox"), httpd...)...))
}

// bothWork checks that both publish a port and reach the world.
func (h *dockerHost) bothWork(when string) {
	h.t.Helper()
	for who, port := range map[string]string{"docker": "9090", "mini": "8080"} {
		host.Eventually(h.t, patience, func() error {
			got, err := getFrom(h.Host, host.Outside, "http://192.0.2.1:"+port+addrPage, time.Second)
			if err == nil && got != outside {
				err = fmt.Errorf("the container sees %s", got)
			}
			if err != nil {
				return fmt.Errorf("%s, %s's port from outside: %w\n%s", when, who, err, h.Exec("sh", "-c", "iptables-save; mini doctor").Stdout)
			}
			return nil
		})
		if _, err := getFrom(h.Host, host.Inside, "http://127.0.0.1:"+port+addrPage, patience); err != nil {
			h.t.Errorf("%s, %s's port from the host: %v", when, who, err)
		}
	}
	const ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 192.0.2.2 8000 | tail -n 1"
	wantOut(h.t, h.Run("exec", "web", "sh", "-c", ask), hostIP)
	wantOut(h.t, h.docker("exec", "dweb", "sh", "-c", ask), hostIP)
}

// cleanUp takes away what dockerd leaves.
func (h *dockerHost) cleanUp() {
	h.t.Helper()
	h.Run("rm", "-f", "web", "second")
	must(h.t, h.Run("network", "prune", "-f"))
	h.docker("rm", "-f", "dweb")
	h.stopDocker()
	rules := must(h.t, h.Exec("sh", "-c", "iptables-save; ip6tables-save"))
	if strings.Contains(rules, "mini:") {
		h.t.Errorf("mini left rules:\n%s", rules)
	}
	must(h.t, h.Exec("sh", "-c", `ip link del docker0
		for ipt in iptables ip6tables; do
			$ipt -P FORWARD ACCEPT
			for t in raw nat filter; do $ipt -t $t -F; $ipt -t $t -X; done
		done`))
}

// TestBesideDocker: mini and a real dockerd publish ports and reach the world
// side by side, whoever comes first, and when dockerd starts again.
func TestBesideDocker(t *testing.T) {
	for _, backend := range []host.Backend{host.NFT, host.Legacy} {
		t.Run(string(backend)+", docker first", func(t *testing.T) {
			t.Parallel()
			h := newDockerHost(t, backend)
			h.startDocker()
			h.prepareDocker()
			h.runDockerWeb()
			r := h.Run(append([]string{"run", "-d", "--name", "web", "-p", "8080:80", "busybox"}, httpd...)...)
			if r.Code != 0 || !strings.Contains(r.Stderr, "mini's chains are named MINI") {
				t.Errorf("%v", r)
			}
			h.bothWork("docker first")
			h.stopDocker()
			h.startDocker()
			h.bothWork("dockerd started again")
			h.cleanUp()
		})
		repairs := map[string]func(testing.TB, *dockerHost){
			"network reload": func(t testing.TB, h *dockerHost) { must(t, h.Run("network", "reload")) },
			"doctor --fix":   func(t testing.TB, h *dockerHost) { must(t, h.Run("doctor", "--fix")) },
			"next start":     func(t testing.TB, h *dockerHost) { must(t, h.Run("run", "--rm", "busybox", "true")) },
		}
		for how, repair := range repairs {
			if backend == host.Legacy && how != "next start" {
				continue // one of them, to save time
			}
			t.Run(string(backend)+", mini first, "+how, func(t *testing.T) {
				t.Parallel()
				h := newDockerHost(t, backend)
				runWeb(t, h.Host, "web", "-p", "8080:80")
				h.startDocker()
				h.prepareDocker()
				h.runDockerWeb()
				r := h.Run("doctor")
				if want := "a Docker daemon uses the chains DOCKER as well"; r.Code != 1 || !strings.Contains(r.Stdout, want) {
					t.Errorf("want %q\n%v", want, r)
				}
				if _, err := getFrom(h.Host, host.Outside, "http://192.0.2.1:8080"+addrPage, silence); err == nil {
					t.Error("dockerd has left mini's rules alone: the documentation says that it does not")
				}
				repair(t, h)
				if r := h.Run("doctor"); r.Code != 0 {
					t.Errorf("%v", r)
				}
				h.bothWork("after the repair")
				h.stopDocker()
				h.startDocker()
				h.bothWork("dockerd started again")
				h.cleanUp()
			})
		}
	}
}
