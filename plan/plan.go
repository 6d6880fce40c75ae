package plan

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Step is one change to the kernel's state.
type Step struct {
	// Name says what the step does, in the imperative: "create bridge mini0".
	Name string
	// Why says in one sentence why it is needed.
	Why string
	// Cmds are shell commands that have the same effect as Do, one a line.
	Cmds []string
	// Do performs the step. A step without Do only informs.
	Do func(context.Context) error
	// Undo takes back what Do did. It must succeed when there is nothing to
	// take back. Nil means that there is nothing to undo.
	Undo func(context.Context) error
}

// Plan is an ordered list of steps with a title, such as "attach web to bridge".
type Plan struct {
	Title string
	Steps []Step
}

// Add appends steps.
func (p *Plan) Add(steps ...Step) { p.Steps = append(p.Steps, steps...) }

// Join returns one plan with the steps of all plans, in order, under title.
func Join(title string, plans ...Plan) Plan {
	all := Plan{Title: title}
	for _, p := range plans {
		all.Steps = append(all.Steps, p.Steps...)
	}
	return all
}

// Event is what an [Observer] hears after a step was done, undone or failed.
type Event struct {
	Plan    string        // title of the plan
	Index   int           // of the step, from 0
	Total   int           // number of steps in the plan
	Step    Step          // the step itself
	Undo    bool          // the step was undone, not done
	Elapsed time.Duration // how long it took
	Err     error         // nil when it succeeded
}

// Observer is told of every step. It is called in the goroutine that runs the
// plan, after the step. A nil Observer is told nothing.
type Observer func(Event)

// StepError is the failure of one step of a plan.
type StepError struct {
	Step     string // name of the step
	Err      error  // what Do returned
	Rollback error  // what undoing the earlier steps returned, joined; often nil
}

func (e *StepError) Error() string {
	if e.Rollback != nil {
		return fmt.Sprintf("%s: %s (and undoing the steps before it: %s)", e.Step, e.Err.Error(), e.Rollback.Error())
	}
	return e.Step + ": " + e.Err.Error()
}

// Unwrap gives the step's own error.
func (e *StepError) Unwrap() error { return e.Err }

// Run does every step in order. When one fails, or ctx is cancelled between
// steps, Run undoes the steps that were done, and the failed one, in reverse
// order, and returns a [*StepError]. Undoing does not heed ctx's cancellation.
func (p Plan) Run(ctx context.Context, observe Observer) error {
	for i, step := range p.Steps {
		err := ctx.Err()
		if err == nil {
			err = p.perform(ctx, i, false, observe)
		}
		if err != nil {
			rollback := p.undo(context.WithoutCancel(ctx), i, observe)
			return &StepError{Step: step.Name, Err: err, Rollback: rollback}
		}
	}
	return nil
}

// RunAll does every step even when some fail, and returns their errors joined.
// It is for teardown, where each thing left behind is worth one more try. It
// does not heed ctx's cancellation.
func (p Plan) RunAll(ctx context.Context, observe Observer) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for i, step := range p.Steps {
		if err := p.perform(ctx, i, false, observe); err != nil {
			errs = append(errs, &StepError{Step: step.Name, Err: err})
		}
	}
	return errors.Join(errs...)
}

// undo takes back steps last to 0. The last one is the one that failed: it may
// have done half of its work.
func (p Plan) undo(ctx context.Context, last int, observe Observer) error {
	var errs []error
	for i := last; i >= 0; i-- {
		if p.Steps[i].Undo == nil {
			continue
		}
		if err := p.perform(ctx, i, true, observe); err != nil {
			errs = append(errs, fmt.Errorf("undo %s: %w", p.Steps[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

func (p Plan) perform(ctx context.Context, i int, undo bool, observe Observer) error {
	step := p.Steps[i]
	act := step.Do
	if undo {
		act = step.Undo
	}
	begin := time.Now()
	var err error
	if act != nil {
		err = act(ctx)
	}
	if observe != nil {
		observe(Event{
			Plan: p.Title, Index: i, Total: len(p.Steps), Step: step,
			Undo: undo, Elapsed: time.Since(begin), Err: err,
		})
	}
	return err
}
