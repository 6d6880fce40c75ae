package main

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/caps"
	"github.com/minirt/mini/runtime/seccomp/compile"
	"github.com/minirt/mini/runtime/seccomp/profile"
)

func filters() (map[string][]byte, error) {
	files := make(map[string][]byte)
	for _, goarch := range []string{"amd64", "arm64"} {
		p, err := profile.Resolve(goarch, caps.Default())
		if err != nil {
			return nil, err
		}
		prog, err := compile.Profile(p, p.Architectures[0])
		if err != nil {
			return nil, err
		}
		text, err := source("seccomp", "", filterBody(prog))
		if err != nil {
			return nil, err
		}
		files["runtime/seccomp/filter_"+goarch+".go"] = text
	}
	return files, nil
}

func filterBody(prog []unix.SockFilter) string {
	var b strings.Builder
	b.WriteString("import \"golang.org/x/sys/unix\"\n\n")
	b.WriteString("var defaultFilter = [...]unix.SockFilter{\n")
	for _, i := range prog {
		fmt.Fprintf(&b, "{Code: %#02x, Jt: %d, Jf: %d, K: %#x},\n", i.Code, i.Jt, i.Jf, i.K)
	}
	b.WriteString("}\n")
	return b.String()
}
