package main

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minirt/mini/network/port"
	"github.com/minirt/mini/rootfs"
	"github.com/minirt/mini/runtime"
)

func containerFilterKeys() []string {
	return []string{"ancestor", "before", "exited", "expose", "id", "label", "name", "network", "publish", "since", "status", "volume"}
}

// containerQuery chooses among all containers, the newest first.
type containerQuery struct {
	filters
	all  bool
	last int // that many at most, in any state; 0: no bound
	rt   *runtime.Runtime
	list []*runtime.Container
	// ports gives what a container publishes now.
	ports func(*runtime.Container) ([]port.Mapping, error)

	before, since time.Time
	ancestors     []string // image ids
	networks      []string // names
	// The host's ports and the containers' that are looked for.
	published, exposed map[port.Exposed]bool
}

func (q *containerQuery) run() ([]*runtime.Container, error) {
	if err := q.resolve(); err != nil {
		return nil, err
	}
	var out []*runtime.Container
	for _, ctr := range q.list {
		if q.last > 0 && len(out) == q.last {
			break
		}
		if !q.fits(ctr) {
			continue
		}
		ok, err := q.fitsPorts(ctr)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, ctr)
		}
	}
	return out, nil
}

// resolve checks the filters' values and looks up what they name.
func (q *containerQuery) resolve() (err error) {
	for _, s := range q.filters["status"] {
		if !slices.Contains(strings.Fields("created running exited dead paused restarting removing"), s) {
			return fmt.Errorf("invalid filter 'status=%s'", s)
		}
	}
	for _, s := range q.filters["exited"] {
		if _, err := strconv.Atoi(s); err != nil {
			return fmt.Errorf("invalid filter 'exited=%s'", s)
		}
	}
	if q.published, err = q.portSet("publish"); err != nil {
		return err
	}
	if q.exposed, err = q.portSet("expose"); err != nil {
		return err
	}
	if q.before, err = q.created("before"); err != nil {
		return err
	}
	if q.since, err = q.created("since"); err != nil {
		return err
	}
	for _, ref := range q.filters["ancestor"] {
		if image, err := q.rt.Images.Find(ref); err == nil {
			q.ancestors = append(q.ancestors, image.ID)
		}
	}
	for _, ref := range q.filters["network"] {
		if n, err := q.rt.Networks.Find(ref); err == nil {
			q.networks = append(q.networks, n.Name)
		}
	}
	return nil
}

// portSet gives the ports that a filter names.
func (q *containerQuery) portSet(key string) (map[port.Exposed]bool, error) {
	set := make(map[port.Exposed]bool)
	for _, s := range q.filters[key] {
		list, err := port.ParseExposed(s)
		if err != nil {
			return nil, fmt.Errorf("invalid filter '%s=%s'", key, s)
		}
		for _, p := range list {
			set[p] = true
		}
	}
	return set, nil
}

// created gives the time of the container that before or since names.
func (q *containerQuery) created(key string) (time.Time, error) {
	values := q.filters[key]
	if len(values) == 0 {
		return time.Time{}, nil
	}
	ctr, err := q.rt.Find(values[len(values)-1])
	if err != nil {
		return time.Time{}, err
	}
	return ctr.Config.Created, nil
}

func (q *containerQuery) fits(ctr *runtime.Container) bool {
	cfg := &ctr.Config
	_, byStatus := q.filters["status"]
	_, byExit := q.filters["exited"]
	switch {
	case ctr.State.Status != runtime.Running && !q.all && q.last == 0 && !byStatus && !byExit:
	case !q.before.IsZero() && !cfg.Created.Before(q.before):
	case !q.since.IsZero() && !cfg.Created.After(q.since):
	case !q.any("id", func(v string) bool { return strings.HasPrefix(cfg.ID, v) || match(v, cfg.ID) }):
	case !q.any("name", func(v string) bool { return matchName(v, cfg.Name) }):
	case !q.any("status", func(v string) bool { return v == string(ctr.State.Status) }):
	case !q.any("exited", func(v string) bool {
		return ctr.State.Status == runtime.Exited && v == strconv.Itoa(ctr.State.ExitCode)
	}):
	case !q.labels(cfg.Labels):
	case !q.any("ancestor", func(v string) bool { return q.fromImage(cfg, v) }):
	case !q.any("network", func(v string) bool { return q.onNetwork(cfg, v) }):
	case !q.any("volume", func(v string) bool { return hasMount(cfg, v) }):
	default:
		return true
	}
	return false
}

func (q *containerQuery) fromImage(cfg *runtime.Config, want string) bool {
	if cfg.Image == "" {
		return false
	}
	if slices.Contains(q.ancestors, cfg.ImageID) {
		return true
	}
	have, errHave := rootfs.ParseReference(cfg.Image)
	ref, errWant := rootfs.ParseReference(want)
	return errHave == nil && errWant == nil && have == ref
}

func (q *containerQuery) onNetwork(cfg *runtime.Config, want string) bool {
	names := networkNames(cfg)
	return slices.Contains(names, want) || slices.ContainsFunc(names, func(n string) bool { return slices.Contains(q.networks, n) })
}

func hasMount(cfg *runtime.Config, want string) bool {
	return slices.ContainsFunc(cfg.Mounts, func(m runtime.Mount) bool {
		return m.Source == want || m.Destination == path.Clean(want)
	})
}

// fitsPorts is for the filters publish, of the host's ports, and expose, of the
// container's. As in Docker one that fits is enough, and a container that does not
// run has neither.
func (q *containerQuery) fitsPorts(ctr *runtime.Container) (bool, error) {
	if len(q.published) == 0 && len(q.exposed) == 0 {
		return true, nil
	}
	ports, err := q.ports(ctr)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(withExposed(ctr, ports), func(p port.Mapping) bool {
		return q.published[port.Exposed{Port: p.HostPort, Proto: p.Proto}] || q.exposed[p.Exposed()]
	}), nil
}
