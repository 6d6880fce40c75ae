package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/runtime"
)

func doctorCommand() *command {
	return &command{
		name: "doctor", max: 0, run: runDoctor,
		short: "Find what is wrong with networks and containers, and repair it (mini's own)",
		long: "It compares links, addresses, routes, settings, rules and records with what they should be, and looks\n" +
			"for other programs that stand in the way. Each line says what is wrong, why it matters, and what repairs it.\n" +
			"The exit code is 0 when all is well, 1 when something is wrong, and 125 when it could not look.",
		example: "mini doctor -v\nmini doctor --fix --explain\nmini doctor --fix --dry-run",
		flags: func() flagSet {
			return flagSet{
				boolFlag("dry-run", "", "With --fix: print the repair as a shell script, and change nothing"),
				explainFlag(),
				boolFlag("fix", "", "Repair what is mini's; never what is somebody else's"),
				stringFlag("format", "", "Format output with 'json' or a Go TEMPLATE"),
				boolFlag("verbose", "v", "Also say what is well"),
			}
		},
	}
}

// errUnwell ends mini with 1 when everything was said.
var errUnwell = &exitError{code: 1}

func runDoctor(c *call) error {
	if !c.bool("fix") && (c.bool("dry-run") || c.bool("explain")) {
		return c.misused(errors.New("--dry-run and --explain are for --fix"))
	}
	rt, err := c.bare()
	if err != nil {
		return cannotLook(err)
	}
	d, err := rt.Diagnose(c.ctx)
	if err != nil {
		return cannotLook(err)
	}
	defer func() { _ = d.Close() }() // descriptors that were only read
	switch {
	case c.bool("dry-run"):
		return c.printRepair(d)
	case c.bool("fix"):
		return c.repair(rt, d)
	}
	return c.printFindings(d.Findings)
}

// cannotLook keeps 1 for what doctor found.
func cannotLook(err error) error {
	return &exitError{code: runtime.ExitMini, err: err, text: "mini: cannot look: " + err.Error() + hint(err)}
}

func (c *call) printRepair(d *runtime.Diagnosis) error {
	var b strings.Builder
	b.WriteString("#!/bin/sh\nset -eu\n\n")
	if err := d.Plan().Script(&b); err != nil {
		return err
	}
	c.printf("%s", b.String())
	return nil
}

// repair does what it can, then looks again, and tells what is left.
func (c *call) repair(rt *runtime.Runtime, d *runtime.Diagnosis) error {
	err := d.Repair(c.ctx, c.observer())
	after, lookErr := rt.Diagnose(c.ctx)
	if lookErr != nil {
		return errors.Join(err, cannotLook(lookErr))
	}
	defer func() { _ = after.Close() }() // descriptors that were only read
	for _, f := range d.Findings {
		if f.Verdict == network.Wrong && !f.Foreign && !isLeft(f, after.Findings) && c.str("format") == "" {
			c.printf("repaired  %s: %s\n", f.Subject, f.What)
		}
	}
	return errors.Join(err, c.printFindings(after.Findings))
}

func isLeft(f network.Finding, after []network.Finding) bool {
	for _, o := range after {
		if o.Verdict == network.Wrong && o.Subject == f.Subject && o.What == f.What {
			return true
		}
	}
	return false
}

// printFindings prints them, and fails when something is wrong.
func (c *call) printFindings(all []network.Finding) error {
	var shown []any
	wrong := 0
	for _, f := range all {
		if f.Verdict == network.Wrong {
			wrong++
		}
		if f.Verdict != network.OK || c.bool("verbose") {
			shown = append(shown, f)
		}
	}
	if format := c.str("format"); format != "" {
		if err := printObjects(c.out, format, shown); err != nil {
			return err
		}
	} else {
		for _, f := range shown {
			c.println(findingLine(f.(network.Finding)))
		}
		if len(shown) == 0 {
			c.println("all is well")
		}
	}
	if wrong > 0 {
		return errUnwell
	}
	return nil
}

// findingLine says in one line what, why, and what repairs it.
func findingLine(f network.Finding) string {
	line := fmt.Sprintf("%-8s  %s: %s", map[network.Verdict]string{network.OK: "OK", network.Wrong: "WRONG", network.Note: "NOTE"}[f.Verdict], f.Subject, f.What)
	if f.Why != "" {
		line += ": " + f.Why
	}
	switch {
	case len(f.Repair) == 0:
	case f.Foreign:
		line += ". Not mini's to repair; it would be: " + strings.Join(f.Repair, " && ")
	case len(f.Repair) == 1 && !strings.Contains(f.Repair[0], "#"):
		line += ". Repair: mini doctor --fix, or " + f.Repair[0]
	default:
		line += ". Repair: mini doctor --fix"
	}
	return line
}
