package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minirt/mini/integration/host"
)

// newDockerHost6 is [newDockerHost] with a dockerd that has IPv6 and makes rules of it.
func newDockerHost6(t testing.TB, b host.Backend) *dockerHost {
	t.Helper()
	h := newDockerHost(t, b, host.IPv6())
	h.flags = []string{"--experimental", "--ip6tables", "--ipv6", "--fixed-cidr-v6", "fd99::/64"}
	h.Allow(host.SecRoutes, "dev docker0|^table 255 type 4 ", "it is dockerd's")
	if err := h.ServeAddr(host.Outside, "["+outside6+"]:8000"); err != nil {
		t.Fatal(err)
	}
	create6(t, h.Host, "red", 1)
	return h
}

// bothWork6 checks that both publish a port on IPv6, and that mini's container
// reaches the world.
func (h *dockerHost) bothWork6(when string) {
	h.t.Helper()
	for who, port := range map[string]int{"docker": 9090, "mini": 8080} {
		host.Eventually(h.t, patience, func() error {
			got, err := getFrom(h.Host, host.Outside, page6(host6, port), time.Second)
			if err == nil && got != outside6 {
				err = fmt.Errorf("the container sees %s", got)
			}
			if err != nil {
				return fmt.Errorf("%s, %s's port from outside: %w\n%s", when, who, err, h.Exec("sh", "-c", "ip6tables-save; mini doctor").Stdout)
			}
			return nil
		})
	}
	reaches(h.t, when+": mini's port from the host", from(h.Host, host.Inside, page6(host6, 8080)), host6)
	reaches(h.t, when+": web to the world", from(h.Host, initPid(h.t, h.Host, "web"), page6(outside6, 8000)), host6)
	rules := must(h.t, h.Exec("sh", "-c", "ip6tables-save | grep mini:"))
	if strings.Contains(rules, "DOCKER-FORWARD") || !strings.Contains(rules, "-j MINI-FORWARD") {
		h.t.Errorf("%s, mini's rules of IPv6 are\n%s", when, rules)
	}
}

// TestBesideDocker6 is TestBesideDocker for a dockerd that makes rules of IPv6, too.
func TestBesideDocker6(t *testing.T) {
	for _, backend := range []host.Backend{host.NFT, host.Legacy} {
		t.Run(string(backend)+", docker first", func(t *testing.T) {
			t.Parallel()
			h := newDockerHost6(t, backend)
			h.startDocker()
			h.prepareDocker()
			h.runDockerWeb()
			runWeb(t, h.Host, "web", "--net", "red", "-p", "8080:80")
			h.bothWork6("docker first")
			h.stopDocker()
			h.startDocker()
			h.bothWork6("dockerd started again")
			h.cleanUp()
		})
		t.Run(string(backend)+", mini first", func(t *testing.T) {
			t.Parallel()
			h := newDockerHost6(t, backend)
			runWeb(t, h.Host, "web", "--net", "red", "-p", "8080:80")
			h.startDocker()
			h.prepareDocker()
			h.runDockerWeb()
			if _, err := getFrom(h.Host, host.Outside, page6(host6, 8080), silence); err == nil {
				t.Error("dockerd has left mini's rules of IPv6 alone")
			}
			must(t, h.Run("run", "--rm", "--net", "red", "busybox", "true"))
			if r := h.Run("doctor"); r.Code != 0 {
				t.Errorf("%v", r)
			}
			h.bothWork6("after a start")
			h.stopDocker()
			h.startDocker()
			h.bothWork6("dockerd started again")
			h.cleanUp()
		})
	}
}
