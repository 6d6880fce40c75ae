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

// Diagnose compares all that mini made on the host with the records. It changes
// nothing. Close the diagnosis when it was read or repaired.
func (r *Runtime) Diagnose(ctx context.Context) (*Diagnosis, error) {
	d := &Diagnosis{r: r, open: map[string]*network.Running{}}
	own, err := network.TwoLooks(d.look)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	nets, err := r.Networks.Diagnose(ctx, d.census())
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.Findings = append(own, nets...)
	return d, nil
}

// Diagnosis is what [Runtime.Diagnose] found.
type Diagnosis struct {
	Findings []network.Finding

	r    *Runtime
	ids  []string // of all containers
	open map[string]*network.Running
}

// Close frees the containers' namespaces.
func (d *Diagnosis) Close() error {
	var errs []error
	for _, running := range d.open {
		errs = append(errs, running.Netns.Close())
	}
	clear(d.open)
	return errors.Join(errs...)
}

// Repair puts right what is mini's. What is not stays as it is.
func (d *Diagnosis) Repair(ctx context.Context, observe plan.Observer) error {
	return d.r.Networks.Repair(ctx, d.Findings, observe)
}

// Plan gives the steps of [Diagnosis.Repair].
func (d *Diagnosis) Plan() plan.Plan { return network.RepairPlan(d.Findings) }

func (d *Diagnosis) census() network.Census {
	return network.Census{
		Running: d.running,
		Known: func(digits string) bool {
			return slices.ContainsFunc(d.ids, func(id string) bool { return strings.HasPrefix(id, digits) })
		},
	}
}

// running opens the network namespace of a running container.
func (d *Diagnosis) running(id string) *network.Running {
	if r := d.open[id]; r != nil {
		return r
	}
	c, err := d.r.load(id)
	if err != nil || c.State.Status != Running || c.State.Ended {
		return nil
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.State.Pid))
	if err != nil {
		return nil // it has ended
	}
	// While the file was opened, the number may have come to another process.
	if now, err := startTicks(c.State.Pid); err != nil || now != c.State.StartTicks {
		ns.Close()
		return nil
	}
	running := &network.Running{Pid: c.State.Pid, Netns: ns}
	// A monitor that cannot be looked at has just ended: then nobody answers.
	running.Names, _ = network.NamesOf(c.State.Pid, c.State.MonitorPid)
	d.open[id] = running
	return running
}

// look compares records with locks, directories and cgroups.
func (d *Diagnosis) look() (found []network.Finding, err error) {
	if d.ids, err = d.r.ids(); err != nil {
		return nil, err
	}
	lives, err := readNames(d.r.livesDir())
	if err != nil {
		return nil, err
	}
	for _, id := range union(d.ids, lives) {
		f, err := d.checkContainer(id, slices.Contains(d.ids, id), slices.Contains(lives, id))
		if err != nil {
			return nil, err
		}
		found = append(found, f...)
	}
	for _, check := range []func() ([]network.Finding, error){d.checkRecords, d.checkNames, d.checkCgroups, d.r.Networks.StrayDirs} {
		f, err := check()
		if err != nil {
			return nil, err
		}
		found = append(found, f...)
	}
	if !slices.ContainsFunc(found, func(f network.Finding) bool { return f.Verdict != network.OK }) {
		found = append(found, network.Fine("the records", fmt.Sprintf("%d containers, and nothing without an owner", len(d.ids))))
	}
	return found, nil
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// stepReap lets a Reap do what it is there for. Any command of mini does it.
func (d *Diagnosis) stepReap() plan.Step {
	return plan.Step{
		Name: "tidy up after dead monitors", Why: "Every mini command does that first.",
		Cmds: []string{"mini ps"},
		Do:   d.r.Reap,
	}
}

// checkContainer finds a container whose owner is dead, and one that is half
// made or half removed.
func (d *Diagnosis) checkContainer(id string, recorded, lived bool) ([]network.Finding, error) {
	alive, err := d.r.alive(id)
	if err != nil {
		return nil, err
	}
	if alive {
		return d.checkMonitor(id)
	}
	if lived {
		return []network.Finding{network.NewFinding("container "+d.name(id), "its monitor is dead", "what it held is still taken", d.stepReap())}, nil
	}
	if !recorded {
		return nil, nil
	}
	if _, err := os.Stat(filepath.Join(d.r.containerDir(id), configFile)); errors.Is(err, os.ErrNotExist) {
		return []network.Finding{network.NewFinding("container "+short(id), "its directory has no record", "it takes up space",
			d.stepIfDead(id, removeDir(d.r.containerDir(id))))}, nil
	}
	c, err := d.r.load(id)
	if err != nil {
		return []network.Finding{{Verdict: network.Wrong, Subject: "container " + short(id), What: err.Error(), Why: "mini cannot start it",
			Repair: []string{plan.Command("mini", "rm", "-f", short(id))}, Foreign: true}}, nil
	}
	return []network.Finding{network.Fine("container "+c.Config.Name, "does not run")}, nil
}

// checkMonitor finds a monitor that is alive and does not run.
func (d *Diagnosis) checkMonitor(id string) ([]network.Finding, error) {
	c, err := d.r.load(id)
	if err != nil || c.State.Status != Running {
		return nil, nil // being made, started or removed
	}
	pid := c.State.MonitorPid
	if !isStopped(pid) {
		return []network.Finding{network.Fine("container "+c.Config.Name, fmt.Sprintf("runs; its monitor is process %d", pid))}, nil
	}
	return []network.Finding{{
		Verdict: network.Wrong, Subject: "container " + c.Config.Name, What: fmt.Sprintf("its monitor, process %d, is stopped", pid),
		Why: "stop, exec and rm get no answer", Repair: []string{fmt.Sprintf("kill -CONT %d", pid)}, Foreign: true,
	}}, nil
}

// name gives a container's name where it is on record.
func (d *Diagnosis) name(id string) string {
	var cfg Config
	if readJSON(filepath.Join(d.r.containerDir(id), configFile), &cfg) == nil {
		return cfg.Name
	}
	return short(id)
}

// stepIfDead does a step with the lock of a container held, so that nobody is
// just making it.
func (d *Diagnosis) stepIfDead(id string, s plan.Step) plan.Step {
	do := s.Do
	s.Do = func(ctx context.Context) error {
		l, err := d.r.takeLife(id, lifeNote{})
		if errors.Is(err, errAlive) {
			return nil
		}
		if err != nil {
			return err
		}
		return errors.Join(do(ctx), l.end(d.r, id))
	}
	return s
}

func removeDir(dir string) plan.Step {
	return plan.Step{
		Name: "remove the leftover directory " + dir, Why: "Nobody owns it.",
		Cmds: []string{plan.Command("rm", "-r", dir)},
		Do:   func(context.Context) error { return os.RemoveAll(dir) },
	}
}
