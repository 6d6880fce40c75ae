package main

import (
	"fmt"
	"io"
	goruntime "runtime"
	"runtime/debug"
)

func versionCommand() *command {
	return &command{
		name: "version", max: 0, flags: inspectFlags, run: runVersion, short: "Show the mini version information",
		example: "mini version --format '{{.Client.Version}}'",
	}
}

// versionJSON has the same facts under both of Docker's names: there is no
// server, and scripts ask for one or the other.
type versionJSON struct {
	Client versionFacts
	Server versionFacts
}

type versionFacts struct {
	Version   string
	GoVersion string
	GitCommit string
	Os        string
	Arch      string
}

func readVersion() versionFacts {
	v := versionFacts{Version: version, GoVersion: goruntime.Version(), Os: goruntime.GOOS, Arch: goruntime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.GitCommit = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return v
}

func runVersion(c *call) error {
	v := readVersion()
	if f := c.str("format"); f != "" {
		return printObjects(c.out, f, []any{versionJSON{Client: v, Server: v}})
	}
	return v.print(c.out)
}

func (v versionFacts) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "mini:\n Version:    %s\n Go version: %s\n Git commit: %s\n OS/Arch:    %s/%s\n",
		v.Version, v.GoVersion, v.GitCommit, v.Os, v.Arch)
	if err != nil {
		return fmt.Errorf("writing the version: %w", err)
	}
	return nil
}
