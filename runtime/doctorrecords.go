package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/plan"
)

// checkRecords finds endpoints whose container is not alive.
func (d *Diagnosis) checkRecords() (found []network.Finding, err error) {
	nets, err := d.r.Networks.Defined()
	if err != nil {
		return nil, err
	}
	for _, n := range nets {
		eps, err := d.r.Networks.Endpoints(n)
		if err != nil {
			return nil, err
		}
		for _, ep := range eps {
			alive, err := d.r.alive(ep.ContainerID)
			if err != nil {
				return nil, err
			}
			// One that left a lock is found and tidied up with its container.
			if _, err := os.Lstat(d.r.lifeDir(ep.ContainerID)); alive || err == nil {
				continue
			}
			found = append(found, network.NewFinding("network "+n.Name, fmt.Sprintf("container %s has %s on record, and does not run", ep.ContainerName, holdings(&ep)),
				"nobody else can get the address or the ports", d.stepIfDead(ep.ContainerID, d.stepDrop(&ep))))
		}
	}
	return found, nil
}

// holdings says what an endpoint keeps from others.
func holdings(ep *network.Endpoint) string {
	var words []string
	for _, a := range ep.Addresses() {
		words = append(words, a.String())
	}
	if len(words) == 0 {
		return "a place" // it was killed before it got an address
	}
	return strings.Join(words, " and ")
}

// stepDrop takes away an endpoint. By hand it is what the detach plan prints.
func (d *Diagnosis) stepDrop(ep *network.Endpoint) plan.Step {
	nets := d.r.Networks
	step := plan.Step{
		Name: "disconnect " + ep.ContainerName + " from network " + ep.NetworkName, Why: "The container does not run.",
		Do: func(ctx context.Context) error { return errors.Join(nets.DeleteLink(ep), nets.Drop(ctx, ep, nil)) },
	}
	step.Cmds = []string{"mini doctor --fix # disconnects " + plan.Quote(ep.ContainerName)}
	return step
}

// checkNames finds names that lead to no container.
func (d *Diagnosis) checkNames() (found []network.Finding, err error) {
	all, err := readNames(d.r.namesDir())
	if err != nil {
		return nil, err
	}
	for _, name := range all {
		id, err := os.Readlink(d.r.namePath(name))
		if err != nil {
			continue // freed since the directory was read
		}
		if alive, err := d.r.alive(id); alive || err != nil {
			continue
		}
		if _, err := os.Lstat(d.r.lifeDir(id)); slices.Contains(d.ids, id) || err == nil {
			continue
		}
		path := d.r.namePath(name)
		found = append(found, network.NewFinding("name "+name, "it is taken by a container that does not exist", "no new container can have it",
			d.stepIfDead(id, plan.Step{
				Name: "free the name " + name, Why: "Nobody owns it.", Cmds: []string{plan.Command("rm", path)},
				Do: func(context.Context) error { return d.r.dropName(name, id) },
			})))
	}
	return found, nil
}

// checkCgroups finds cgroups of this mini's containers that do not run.
func (d *Diagnosis) checkCgroups() (found []network.Finding, err error) {
	for _, id := range d.ids {
		dir := filepath.Dir(procsFile("/" + cgroupParent + "/" + id))
		if _, err := os.Lstat(dir); err != nil {
			continue
		}
		if alive, err := d.r.alive(id); alive || err != nil {
			continue
		}
		if _, err := os.Lstat(d.r.lifeDir(id)); err == nil {
			continue // found with its container
		}
		path := "/" + cgroupParent + "/" + id
		found = append(found, network.NewFinding("container "+d.name(id), "its cgroup "+dir+" is still there", "it does not run",
			d.stepIfDead(id, plan.Step{
				Name: "remove the cgroup " + path, Why: "Nobody owns it.", Cmds: []string{plan.Command("rmdir", dir)},
				Do: func(context.Context) error { return removeCgroup(path) },
			})))
	}
	return found, nil
}
