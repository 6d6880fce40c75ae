package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/minirt/mini/rootfs"
)

func volumeGroup() *command {
	return &command{
		name: "volume", short: "Manage volumes", example: "mini volume create data",
		subs: func() []*command {
			return []*command{
				volumeCreateCommand(),
				inspectOne("volume", "VOLUME [VOLUME...]", "Display detailed information on one or more volumes", "mini volume inspect data"),
				volumeLsCommand(), volumeRmCommand(),
			}
		},
	}
}

// volumeJSON is what inspect prints of a volume, with Docker's names.
type volumeJSON struct {
	CreatedAt  time.Time
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
}

func volumeJSONOf(v *rootfs.Volume) *volumeJSON {
	return &volumeJSON{
		CreatedAt: v.Created, Driver: "local", Labels: map[string]string{}, Mountpoint: filepath.Clean(v.Path),
		Name: v.Name, Options: map[string]string{}, Scope: "local",
	}
}

func volumeCreateCommand() *command {
	return &command{
		name: "create", args: "[VOLUME]", max: 1, short: "Create a volume", example: "mini volume create data",
		run: func(c *call) error {
			rt, err := c.open()
			if err != nil {
				return err
			}
			v, err := rt.Images.CreateVolume(c.arg(0))
			if err != nil {
				return err
			}
			c.println(v.Name)
			return nil
		},
	}
}

func volumeRmCommand() *command {
	return &command{
		name: "rm", aliases: []string{"remove"}, args: "VOLUME [VOLUME...]", min: 1, max: -1, complete: "volumes",
		short: "Remove one or more volumes", example: "mini volume rm data",
		flags: func() flagSet {
			return flagSet{boolFlag("force", "f", "Do not error if a volume does not exist")}
		},
		run: func(c *call) error {
			rt, err := c.open()
			if err != nil {
				return err
			}
			return c.each(c.args(), func(name string) error {
				err := rt.Images.RemoveVolume(name, rt.VolumeUsers)
				if c.bool("force") && errors.Is(err, rootfs.ErrNoVolume) {
					return nil // as in Docker, it is what was wanted
				}
				return err
			})
		},
	}
}

// volumeRow is one line of volume ls; the fields are those of --format.
type volumeRow struct{ Driver, Mountpoint, Name, Scope string }

func volumeLsCommand() *command {
	return &command{
		name: "ls", aliases: []string{"list"}, max: 0, run: runVolumeLs, short: "List volumes",
		example: "mini volume ls -q --filter dangling=true",
		flags: func() flagSet {
			return flagSet{filterFlag(), formatFlag(), boolFlag("quiet", "q", "Only display volume names")}
		},
	}
}

func runVolumeLs(c *call) error {
	f, err := parseFilters(c.list("filter"), "dangling", "driver", "name")
	if err != nil {
		return err
	}
	for _, v := range f["dangling"] {
		if _, err := isTrue("dangling", v); err != nil {
			return err
		}
	}
	rt, err := c.open()
	if err != nil {
		return err
	}
	all, err := rt.Images.ListVolumes()
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b *rootfs.Volume) int { return naturally(a.Name, b.Name) })
	var rows []volumeRow
	for _, v := range all {
		fits := f.any("name", func(p string) bool { return match(p, v.Name) }) &&
			f.any("driver", func(d string) bool { return d == "local" }) &&
			f.any("dangling", func(want string) bool {
				b, _ := strconv.ParseBool(want) // checked above
				return b == (len(rt.VolumeUsers(v.Name)) == 0)
			})
		if fits {
			rows = append(rows, volumeRow{Driver: "local", Mountpoint: v.Path, Name: v.Name, Scope: "local"})
		}
	}
	l := listing[volumeRow]{
		table: "{{.Driver}}\t{{.Name}}", quiet: func(r volumeRow) string { return r.Name },
		header: volumeRow{Driver: "DRIVER", Name: "VOLUME NAME", Mountpoint: "MOUNTPOINT", Scope: "SCOPE"},
	}
	return l.print(c.out, c.str("format"), c.bool("quiet"), rows)
}
