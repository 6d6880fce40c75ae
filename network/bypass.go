package network

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/port"
)

// firewalldPid is where firewalld keeps its process id while it runs.
const firewalldPid = "/run/firewalld.pid"

// Bypassed gives a note when ports are open to others although the host has a
// firewall that was perhaps meant to keep them closed, else "". It runs no
// program, as it is asked at every start that publishes ports.
func (m *Manager) Bypassed(ports []port.Mapping) string {
	open := slices.DeleteFunc(slices.Clone(ports), func(p port.Mapping) bool { return p.HostIP.IsLoopback() })
	if len(open) == 0 {
		return ""
	}
	var active []string
	if m.ufwActive() {
		active = append(active, "ufw")
	}
	if firewalldActive(firewalldPid) {
		active = append(active, "firewalld")
	}
	if len(active) == 0 {
		return ""
	}
	local := "127.0.0.1"
	if !open[0].Has4() {
		local = "[::1]"
	}
	return fmt.Sprintf("%s is active, but does not filter published ports: %s is open to %s. Rules for it belong into the chain %s; -p %s:… keeps a port on this host",
		strings.Join(active, " and "), portList(open), open[0].Reach(), firewall.UserChain, local)
}

// ufwActive looks for ufw's own jump. That it cannot be told is no reason to
// refuse a start.
func (m *Manager) ufwActive() bool {
	backend, err := firewall.New(m.opt.IPTables).Backend() // ufw's, whatever mini's driver is
	if err != nil {
		return false
	}
	targets, err := firewall.JumpTargets(backend, firewall.Chain{Table: "filter", Name: "FORWARD"})
	return err == nil && slices.Contains(targets, "ufw-before-forward")
}

// firewalldActive tells whether the process that a file names lives, and is one.
func firewalldActive(pidFile string) bool {
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		return false
	}
	name, err := os.ReadFile("/proc/" + string(bytes.TrimSpace(pid)) + "/comm")
	return err == nil && string(bytes.TrimSpace(name)) == "firewalld"
}
