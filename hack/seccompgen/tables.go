package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var numberLine = regexp.MustCompile(`(?m)^\s+SYS_(\w+)\s+= (\d+)$`)

// armPrivate are ARM's own calls, which golang.org/x/sys leaves out
// (arch/arm/include/uapi/asm/unistd.h).
var armPrivate = map[string]int{
	"breakpoint": 0x0f0001, "cacheflush": 0x0f0002, "usr26": 0x0f0003,
	"usr32": 0x0f0004, "set_tls": 0x0f0005, "get_tls": 0x0f0006,
}

// notCalls are constants of the same form that are no system calls.
var notCalls = []string{"syscall_mask"}

func tables() (map[string][]byte, error) {
	dir, err := goList("-m", "-f", "{{.Dir}}", "golang.org/x/sys")
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for _, t := range []struct{ goarch, file, name string }{
		{"amd64", "table_x86_64.go", "tableX8664"},
		{"386", "table_i386.go", "tableI386"},
		{"arm64", "table_aarch64.go", "tableAARCH64"},
		{"arm", "table_armv7.go", "tableARM"},
	} {
		numbers, err := parseNumbers(filepath.Join(dir, "unix", "zsysnum_linux_"+t.goarch+".go"))
		if err != nil {
			return nil, err
		}
		if t.goarch == "arm" {
			for name, nr := range armPrivate {
				numbers[name] = nr
			}
		}
		text, err := source("compile", "", tableBody(t.name, numbers))
		if err != nil {
			return nil, err
		}
		files["runtime/seccomp/compile/"+t.file] = text
	}
	return files, nil
}

func parseNumbers(file string) (map[string]int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading system call numbers: %w", err)
	}
	numbers := make(map[string]int)
	for _, m := range numberLine.FindAllSubmatch(text, -1) {
		name := strings.ToLower(string(m[1]))
		if slices.Contains(notCalls, name) {
			continue
		}
		if numbers[name], err = strconv.Atoi(string(m[2])); err != nil {
			return nil, fmt.Errorf("reading the number of %s: %w", name, err)
		}
	}
	if len(numbers) < 300 {
		return nil, fmt.Errorf("reading %s: only %d system calls found", file, len(numbers))
	}
	return numbers, nil
}

func tableBody(name string, numbers map[string]int) string {
	names := make([]string, 0, len(numbers))
	for n := range numbers {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "var %s = [...]entry{\n", name)
	for _, n := range names {
		fmt.Fprintf(&b, "{%q, %d},\n", n, numbers[n])
	}
	b.WriteString("}\n")
	return b.String()
}

func goList(args ...string) (string, error) {
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		return "", fmt.Errorf("running go list %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
