package network

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/minirt/mini/network/firewall"
	"github.com/minirt/mini/network/firewall/nft"
	"github.com/minirt/mini/plan"
)

// Verdict is what a look at one thing came to.
type Verdict string

// The verdicts.
const (
	OK    Verdict = "ok"
	Wrong Verdict = "wrong"
	Note  Verdict = "note" // worth knowing, and nothing is broken
)

// Finding is the result of one look.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	Subject string  `json:"subject"`       // "network web", "container a", "chain FORWARD of table filter"
	What    string  `json:"what"`          // is wrong, or is as it should be
	Why     string  `json:"why,omitempty"` // it matters
	// Repair are shell commands. Those of a Foreign finding are for a person.
	Repair  []string `json:"repair,omitempty"`
	Foreign bool     `json:"foreign,omitempty"` // not mini's to change

	steps []plan.Step
	// whole: the steps build on each other, so that all or none are done.
	whole bool
}

// NewFinding gives one of mini's own that the steps repair.
func NewFinding(subject, what, why string, steps ...plan.Step) Finding {
	f := Finding{Verdict: Wrong, Subject: subject, What: what, Why: why, steps: steps}
	for _, s := range steps {
		f.Repair = append(f.Repair, s.Cmds...)
	}
	return f
}

// Fine gives a finding that all is well.
func Fine(subject, what string) Finding { return Finding{Verdict: OK, Subject: subject, What: what} }

func (f Finding) same(o Finding) bool {
	return f.Verdict == o.Verdict && f.Subject == o.Subject && f.What == o.What
}

// RepairPlan joins the steps of all findings, each once.
func RepairPlan(findings []Finding) plan.Plan {
	p := plan.Plan{Title: "repair what is mini's"}
	for _, f := range findings {
		for _, s := range f.steps {
			if f.whole || !isPlanned(p, s) {
				p.Add(s)
			}
		}
	}
	return p
}

// isPlanned tells whether the plan has a step. Two are the same when they do the
// same: the name alone may be that of a step for another cable, or for the other family.
func isPlanned(p plan.Plan, s plan.Step) bool {
	return slices.ContainsFunc(p.Steps, func(o plan.Step) bool { return o.Name == s.Name && slices.Equal(o.Cmds, s.Cmds) })
}

// Running is a container that runs.
type Running struct {
	Pid   int
	Netns *os.File // stays open as long as the [Census] is in use
	// Names is where its monitor listens for its questions for names, see [NamesOf].
	Names netip.AddrPort
}

// Census is what [Manager.Diagnose] must know of containers.
type Census struct {
	// Running gives a container by its id, nil when it does not run.
	Running func(id string) *Running
	// Known tells whether this mini has a container whose id begins with the digits.
	Known func(digits string) bool
}

// secondLook is the time between two looks. A container that is starting or
// ending is not as the records say for some milliseconds.
const secondLook = 200 * time.Millisecond

// Diagnose compares the networks with the records, and looks for what others do
// to them. It changes nothing. What is wrong at the first look and right at the
// second was a container on its way.
func (m *Manager) Diagnose(ctx context.Context, who Census) ([]Finding, error) {
	return TwoLooks(func() ([]Finding, error) {
		unlock, err := m.lockNetworks()
		if err != nil {
			return nil, err
		}
		defer unlock()
		return m.look(ctx, who)
	})
}

// TwoLooks looks again after a moment when something is wrong, and leaves out
// what has changed.
func TwoLooks(look func() ([]Finding, error)) ([]Finding, error) {
	first, err := look()
	if err != nil || !slices.ContainsFunc(first, isWrong) {
		return first, err
	}
	time.Sleep(secondLook)
	second, err := look()
	return slices.DeleteFunc(second, func(f Finding) bool {
		return isWrong(f) && !slices.ContainsFunc(first, f.same)
	}), err
}

func isWrong(f Finding) bool { return f.Verdict == Wrong }

// Repair runs the steps of findings. Nobody brings a network up or down meanwhile.
func (m *Manager) Repair(ctx context.Context, findings []Finding, observe plan.Observer) error {
	p := RepairPlan(findings)
	if len(p.Steps) == 0 {
		return nil
	}
	unlock, err := m.lockNetworks()
	if err != nil {
		return err
	}
	defer unlock()
	return p.RunAll(ctx, observe)
}

// doctor is one look at the host.
type doctor struct {
	m      *Manager
	ctx    context.Context
	who    Census
	h      *netlink.Handle
	links  []netlink.Link
	rules  *firewall.Listing
	other  *firewall.Listing // of the other back end, or nil
	shared chainState
	wards  []*ward
	told   map[int][]string // see [toldMACs]; nil: not read yet
	looked map[string]bool  // see [doctor.once]
	beside *bool            // see [doctor.otherMini]; nil: not looked for yet
	strays []string         // digits of tags, see doctorstray.go
	// unowned are marks, by network id, whose network has no definition.
	unowned map[string]*mark

	// strict wants mini's jumps above all rules of others, also harmless ones.
	strict bool
	found  []Finding

	// What [doctor.restore] would do, as one transaction.
	drop, put []firewall.Rule
	owners    []*Endpoint // of rules in put
}

// ward is one network with its containers.
type ward struct {
	n   *Network
	mk  *mark // nil: not up
	eps []Endpoint
}

func (w *ward) subject() string { return "network " + w.n.Name }

func (w *ward) up() bool { return w.mk != nil && w.mk.Ready }

// look takes everything in once, then judges it. The caller holds networks.lock.
func (m *Manager) look(ctx context.Context, who Census) ([]Finding, error) {
	d := &doctor{m: m, ctx: ctx, who: who}
	if err := d.takeIn(); err != nil {
		return nil, err
	}
	d.checkHost()
	for _, w := range d.wards {
		if err := d.checkNetwork(w); err != nil {
			return nil, err
		}
	}
	if err := d.checkRules(); err != nil {
		return nil, err
	}
	for _, w := range d.wards {
		for i := range w.eps {
			if err := d.checkEndpoint(w, &w.eps[i]); err != nil {
				return nil, err
			}
		}
	}
	if err := d.checkLeftovers(); err != nil {
		return nil, err
	}
	d.checkForeign()
	return d.found, nil
}

func (d *doctor) takeIn() (err error) {
	m := d.m
	if d.h, err = m.host(); err != nil {
		return err
	}
	if d.shared, err = m.chainState(); err != nil {
		return err
	}
	if d.links, err = dump(d.h.LinkList); err != nil {
		return linkErr("listing", "links", err)
	}
	v6 := d.shared.Stage6 != "" || d.shared.MadeUser6 || firewall.NeedV6(d.shared.Left, nil)
	if d.rules, err = d.listing(v6); err != nil {
		return err
	}
	if d.other, err = m.fw().OtherListing(d.ctx, v6); err != nil {
		return err
	}
	if err := d.takeInNetworks(); err != nil {
		return err
	}
	if n, ok := m.fw().(*nft.Driver); ok {
		n.Recognise(d.rules, d.known())
	}
	return nil
}

// listing reads the rules. Without a network with IPv6 there may be leftovers, which are
// looked for where there is an ip6tables: by doctor alone, no start waits for that.
func (d *doctor) listing(v6 bool) (*firewall.Listing, error) {
	if !v6 && !d.strict && hasIPv6() {
		if l, err := d.m.fw().Listing(d.ctx, true); err == nil {
			return l, nil
		}
	}
	return d.m.fw().Listing(d.ctx, v6)
}

func (d *doctor) takeInNetworks() error {
	all, err := d.m.stored()
	if err != nil {
		return err
	}
	if d.unowned, err = d.m.marks(); err != nil {
		return err
	}
	for _, n := range all {
		if !n.HasRules() {
			continue
		}
		w := &ward{n: n, mk: d.unowned[n.ID]}
		delete(d.unowned, n.ID)
		if err := d.checkLeases(w); err != nil { // reads the leases, then the records
			return err
		}
		d.wards = append(d.wards, w)
	}
	return nil
}

// add records a finding.
func (d *doctor) add(f Finding) { d.found = append(d.found, f) }

// fine records that all is well with a subject, unless something was found since
// the position before.
func (d *doctor) fine(before int, subject, what string) {
	if len(d.found) == before {
		d.add(Fine(subject, what))
	}
}

// foreign records what only a person should change.
func (d *doctor) foreign(v Verdict, subject, what, why string, commands ...string) {
	d.add(Finding{Verdict: v, Subject: subject, What: what, Why: why, Repair: commands, Foreign: true})
}

func (d *doctor) link(name string) netlink.Link {
	i := slices.IndexFunc(d.links, func(l netlink.Link) bool { return l.Attrs().Name == name })
	if i < 0 {
		return nil
	}
	return d.links[i]
}
