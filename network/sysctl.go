package network

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/minirt/mini/plan"
)

// sysctlPath is where a sysctl is. As for sysctl(8), a slash in the key is a dot
// of a link's name.
func sysctlPath(key string) string {
	return "/proc/sys/" + strings.NewReplacer(".", "/", "/", ".").Replace(key)
}

// setSysctl writes a sysctl of the calling thread's network namespace, unless
// it has that value. It gives the value from before.
func setSysctl(key, value string) (old string, err error) {
	path := sysctlPath(key)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading sysctl %s: %w", key, err)
	}
	old = string(bytes.TrimSpace(data))
	if old == value {
		return old, nil
	}
	if err := writeSysctl(key, value); err != nil {
		return old, err
	}
	return old, nil
}

// isOn tells whether a sysctl is 1. One that cannot be read is as good as on.
func isOn(key string) bool {
	data, err := os.ReadFile(sysctlPath(key))
	return err != nil || string(bytes.TrimSpace(data)) == "1"
}

func writeSysctl(key, value string) error {
	path := sysctlPath(key)
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("setting sysctl %s to %s: %w", key, value, err)
	}
	return nil
}

func sysctlCommand(key, value string) string {
	return plan.Command("sysctl", "-q", "-w", key+"="+value)
}

// hasIPv6 says whether the kernel has IPv6 and with it the sysctls for it.
func hasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}
