package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/runtime"
)

func psCommand(name string, aliases ...string) *command {
	return &command{
		name: name, aliases: aliases, max: 0, flags: psFlags, run: runPs, short: "List containers",
		example: "mini ps -a\nmini ps -q --filter status=exited\nmini ps --format 'table {{.Names}}\\t{{.Ports}}'",
	}
}

func psFlags() flagSet {
	return flagSet{
		boolFlag("all", "a", "Show all containers (default shows just running)"),
		filterFlag(), formatFlag(),
		intFlag("last", "n", "Show n last created containers (includes all states)"),
		boolFlag("latest", "l", "Show the latest created container (includes all states)"),
		boolFlag("no-trunc", "", "Don't truncate output"),
		boolFlag("quiet", "q", "Only display container IDs"),
		boolFlag("size", "s", "Display total file sizes"),
	}
}

// containerRow is one line of ps; the fields are those of --format.
type containerRow struct {
	Command, CreatedAt, ID, Image, Labels, LocalVolumes, Mounts, Names, Networks, Ports, RunningFor, Size, State, Status string

	labels map[string]string // nil in the header
}

// Label gives one label's value, for --format.
func (r containerRow) Label(name string) string {
	if r.labels == nil {
		return columnTitle(name)
	}
	return r.labels[name]
}

func containerListing(sizes bool) listing[containerRow] {
	l := listing[containerRow]{
		table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
		header: containerRow{
			ID: "CONTAINER ID", Image: "IMAGE", Command: "COMMAND", CreatedAt: "CREATED AT", RunningFor: "CREATED",
			Status: "STATUS", State: "STATE", Ports: "PORTS", Names: "NAMES", Labels: "LABELS", Mounts: "MOUNTS",
			LocalVolumes: "LOCAL VOLUMES", Networks: "NETWORKS", Size: "SIZE",
		},
		quiet: func(r containerRow) string { return r.ID },
	}
	if sizes {
		l.table += "\t{{.Size}}"
	}
	return l
}

func runPs(c *call) error {
	f, err := parseFilters(c.list("filter"), containerFilterKeys()...)
	if err != nil {
		return err
	}
	rt, err := c.open()
	if err != nil {
		return err
	}
	all, err := rt.List()
	if err != nil {
		return err
	}
	q := containerQuery{filters: f, all: c.bool("all"), rt: rt, list: all, ports: publishedPorts}
	if last := c.optionalInt("last"); last != nil && *last > 0 {
		q.last = *last
	}
	if c.bool("latest") {
		q.last = 1
	}
	chosen, err := q.run()
	if err != nil {
		return err
	}
	rows, err := containerRows(chosen, c.bool("no-trunc"), time.Now())
	if err != nil {
		return err
	}
	if c.bool("size") || strings.Contains(c.str("format"), ".Size") {
		if err := addSizes(rows, chosen); err != nil {
			return err
		}
	}
	return containerListing(c.bool("size")).print(c.out, c.str("format"), c.bool("quiet"), rows)
}

func containerRows(list []*runtime.Container, full bool, now time.Time) ([]containerRow, error) {
	rows := make([]containerRow, 0, len(list))
	for _, ctr := range list {
		ports, err := publishedPorts(ctr)
		if err != nil {
			return nil, err
		}
		rows = append(rows, containerRowOf(ctr, ports, full, now))
	}
	return rows, nil
}

// addSizes fills in what takes a walk over all files of a container.
func addSizes(rows []containerRow, list []*runtime.Container) error {
	for i, ctr := range list {
		written, all, err := ctr.Size()
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			return err
		}
		rows[i].Size = sizeText(written, all)
	}
	return nil
}

// sizeText is the SIZE column.
func sizeText(written, all int64) string {
	text := units.HumanSizeWithPrecision(float64(written), 3)
	if all > 0 {
		text += " (virtual " + units.HumanSizeWithPrecision(float64(all), 3) + ")"
	}
	return text
}

// publishedPorts gives what is published now, for each family: nothing unless it
// runs.
func publishedPorts(ctr *runtime.Container) ([]port.Mapping, error) {
	if ctr.State.Status != runtime.Running || len(ctr.Config.Published()) == 0 {
		return nil, nil
	}
	eps, err := ctr.Endpoints()
	if err != nil {
		return nil, err
	}
	var ports []port.Mapping
	for _, ep := range eps {
		ports = append(ports, port.Split(ep.Ports)...)
		for _, p := range ep.Open { // of a routed network: nothing of the host
			ports = append(ports, port.Mapping{ContainerPort: p.ContainerPort, Proto: p.Proto})
		}
	}
	return ports, nil
}

func containerRowOf(ctr *runtime.Container, ports []port.Mapping, full bool, now time.Time) containerRow {
	cfg := &ctr.Config
	r := containerRow{
		ID: cfg.ID, Image: imageText(cfg), Names: cfg.Name, State: string(ctr.State.Status),
		Command: commandText(cfg), CreatedAt: cfg.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		RunningFor: ago(cfg.Created, now), Status: statusText(ctr.State, now), Ports: portsText(withExposed(ctr, ports)),
		Labels: joinLabels(cfg.Labels), Networks: strings.Join(networkNames(cfg), ","), labels: cfg.Labels,
		Size: sizeText(0, 0),
	}
	if r.labels == nil {
		r.labels = map[string]string{}
	}
	var mounts []string
	volumes := 0
	for _, m := range cfg.Mounts {
		switch m.Type {
		case runtime.MountVolume:
			volumes++
			mounts = append(mounts, m.Source)
		case runtime.MountBind:
			mounts = append(mounts, m.Source)
		}
	}
	if !full {
		r.ID, r.Command = ctr.ShortID(), shorten(r.Command, 20)
		for i, m := range mounts {
			mounts[i] = shorten(m, 15)
		}
	}
	r.Command = strconv.Quote(r.Command)
	r.Mounts, r.LocalVolumes = strings.Join(mounts, ","), fmt.Sprint(volumes)
	return r
}

func imageText(cfg *runtime.Config) string {
	if cfg.Rootfs != "" {
		return cfg.Rootfs
	}
	return cfg.Image
}

// commandText is the whole command line, as the runtime will execute it.
// Arguments with blanks are in quotes, as in Docker.
func commandText(cfg *runtime.Config) string {
	words := commandWords(cfg)
	for i, w := range words {
		if i > 0 && strings.Contains(w, " ") {
			words[i] = "'" + w + "'"
		}
	}
	return strings.Join(words, " ")
}

func commandWords(cfg *runtime.Config) []string {
	words := append(append([]string{}, cfg.Entrypoint...), cfg.Cmd...)
	if len(cfg.Entrypoint) > 0 && cfg.Entrypoint[0] == "" {
		return words[1:]
	}
	return words
}

func networkNames(cfg *runtime.Config) []string {
	if cfg.NetworkMode == network.Host || cfg.NetworkMode == network.None {
		return []string{cfg.NetworkMode}
	}
	names := make([]string, len(cfg.Networks))
	for i, a := range cfg.Networks {
		names[i] = a.Network
	}
	return names
}
