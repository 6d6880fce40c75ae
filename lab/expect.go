package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/minirt/mini/plan"
)

// Outcome is what comes of a probe.
type Outcome string

// The outcomes.
const (
	OK          Outcome = "ok"          // it was answered
	Refused     Outcome = "refused"     // nobody listens there
	Timeout     Outcome = "timeout"     // nothing came back
	Unreachable Outcome = "unreachable" // there is no way: a router or the kernel itself said so
)

// How long an answer that is expected may take, and how long silence is listened to.
const (
	patience = 5 * time.Second
	silence  = time.Second
)

// Result is what came of one expectation.
type Result struct {
	From, To, By string
	Before       string // the part before which it was tried
	Want, Got    string // in the same words when it is as expected
	Met          bool
	Skipped      bool // it could not be tried any more
	Elapsed      time.Duration

	index int
}

// answer is what a probe saw.
type answer struct {
	outcome Outcome
	sees    netip.Addr
	ttl     int
	hops    []netip.Addr // not valid: no answer
	wire    string
	detail  string // why
	elapsed time.Duration
}

// wanted puts what is expected in words, and got what came, as far as it is asked for.
func (p probe) wanted() string {
	a := answer{outcome: p.want, sees: p.sees, ttl: p.ttl, hops: p.hops}
	if p.wire != nil {
		a.wire = "only " + p.wire.kind()
	}
	return p.words(a)
}

func (p probe) words(a answer) string {
	words := []string{string(a.outcome)}
	if p.want != OK || a.outcome != OK && len(a.hops) == 0 {
		return string(a.outcome)
	}
	if p.sees.IsValid() {
		words = append(words, "sees "+a.sees.String())
	}
	if p.ttl != 0 {
		words = append(words, fmt.Sprintf("ttl %d", a.ttl))
	}
	if len(p.hops) > 0 {
		words = append(words, "hops "+hopText(a.hops))
	}
	if p.wire != nil {
		words = append(words, a.wire)
	}
	return strings.Join(words, ", ")
}

func hopText(hops []netip.Addr) string {
	var words []string
	for _, h := range hops {
		if h.IsValid() {
			words = append(words, h.String())
		} else {
			words = append(words, "*")
		}
	}
	return strings.Join(words, " ")
}

func (p probe) result(a answer) Result {
	r := Result{
		From: p.from.name, To: p.as, By: p.by, Before: p.at, Want: p.wanted(), Got: p.words(a), Elapsed: a.elapsed, index: p.index,
	}
	r.Met = r.Want == r.Got
	if !r.Met && a.detail != "" {
		r.Got += " (" + a.detail + ")"
	}
	return r
}

// limit is how long a probe waits: for what must not come it listens a moment.
func (p probe) limit() time.Duration {
	if p.want == Timeout {
		return silence
	}
	return patience
}

// tryAll tries probes side by side, with the topology's ports answering. Those that
// listen to a wire come after the others, one by one: the wire is to carry nothing else.
func (b *builder) tryAll(ctx context.Context, probes []probe) ([]Result, error) {
	stop, err := b.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	results, errs := make([]Result, len(probes)), make([]error, len(probes))
	try := func(i int) {
		begin := time.Now()
		a, err := b.try(ctx, probes[i])
		a.elapsed = time.Since(begin)
		results[i], errs[i] = probes[i].result(a), err
	}
	if err := b.openAll(); err != nil {
		return nil, err
	}
	var group sync.WaitGroup
	for i, p := range probes {
		if p.wire == nil {
			group.Go(func() { try(i) })
		}
	}
	group.Wait()
	for i, p := range probes {
		if p.wire != nil {
			try(i)
		}
	}
	return results, errors.Join(errs...)
}

// openAll opens all namespaces beforehand: [spaces] is for one goroutine as long as it opens anything.
func (b *builder) openAll() error {
	for _, name := range b.m.names() {
		if _, err := b.s.file(name); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) try(ctx context.Context, p probe) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, p.limit())
	defer cancel()
	var a answer
	var err error
	switch p.by {
	case "ping":
		a, err = b.pingWatched(ctx, p)
	case "traceroute":
		a, err = b.traceroute(ctx, p)
	default:
		a, err = b.connect(ctx, p)
	}
	if err != nil {
		return a, fmt.Errorf("trying %s from %s to %s: %w", p.by, p.from.name, p.as, err)
	}
	return a, nil
}

// look adds the probes that are tried before a part is built.
func (b *builder) look(part string) {
	var now []probe
	for _, p := range b.m.probes {
		if p.at == part {
			now = append(now, p)
		}
	}
	if len(now) == 0 {
		return
	}
	if b.before != nil {
		b.p.Add(b.before(now)...)
		return
	}
	b.p.Add(lookSteps(b, now, map[int]Result{})...)
}

// lookSteps are steps that change nothing: they note what probes see before the next part is there.
func lookSteps(b *builder, probes []probe, into map[int]Result) []plan.Step {
	step := plan.Step{Name: "look, without " + probes[0].at}
	var why []string
	for _, p := range probes {
		why = append(why, fmt.Sprintf("From %s, %s by %s: %s.", p.from.name, p.as, p.by, p.wanted()))
		step.Cmds = append(step.Cmds, "# "+b.byHand(p))
	}
	step.Why = strings.Join(why, " ")
	step.Do = func(ctx context.Context) error {
		results, err := b.tryAll(ctx, probes)
		for _, r := range results {
			into[r.index] = r
		}
		return err
	}
	return []plan.Step{step}
}

// byHand is a command that tries the same.
func (b *builder) byHand(p probe) string {
	to := p.to.Addr().String()
	switch p.by {
	case "http":
		return b.inside(p.from, "curl", "-m", "1", "http://"+p.to.String())
	case "tcp", "udp":
		flags := map[string]string{"tcp": "-w1", "udp": "-uw1"}
		return b.inside(p.from, "nc", flags[p.by], to, fmt.Sprint(p.to.Port()))
	case "traceroute":
		return b.inside(p.from, "traceroute", "-n", "-I", to)
	}
	return b.inside(p.from, "ping", "-c", "1", "-W", "1", to)
}
