package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/minirt/mini/lab"
)

func labLsCommand() *command {
	return &command{
		name: "ls", aliases: []string{"list"}, max: 0, run: runLabLs, short: "List labs: those that are there, and those that mini comes with",
		long:    "STATUS is up, building, broken (the next up or down tidies it up), or empty for one that is not there.",
		example: "mini lab ls\nmini lab ls --format '{{.Name}}: {{.About}}'",
		flags: func() flagSet {
			return flagSet{formatFlag(), boolFlag("quiet", "q", "Only display the names of labs that are there")}
		},
	}
}

// labRow is one line of lab ls; the fields are those of --format.
type labRow struct{ Name, Status, Nodes, Checks, About, CreatedAt string }

func labListing() listing[labRow] {
	return listing[labRow]{
		table:  "{{.Name}}\t{{.Status}}\t{{.Nodes}}\t{{.Checks}}\t{{.About}}",
		header: labRow{Name: "NAME", Status: "STATUS", Nodes: "NODES", Checks: "CHECKS", About: "ABOUT", CreatedAt: "CREATED AT"},
		quiet:  func(r labRow) string { return r.Name },
	}
}

func runLabLs(c *call) error {
	labs, err := c.labs()
	if err != nil {
		return err
	}
	there, err := labs.List()
	if err != nil {
		return err
	}
	var rows []labRow
	seen := map[string]bool{}
	for _, s := range there {
		seen[s.Name] = true
		row := labRowOf(s.Name, s.Topology)
		row.Status = string(s.State)
		if !s.Created.IsZero() {
			row.CreatedAt = s.Created.Local().Format("2006-01-02 15:04:05.999999999 -0700 MST")
		}
		rows = append(rows, row)
	}
	for _, name := range lab.Builtins() {
		if seen[name] || c.bool("quiet") {
			continue
		}
		t, _, err := lab.Builtin(name)
		if err != nil {
			return err
		}
		rows = append(rows, labRowOf(name, t))
	}
	return labListing().print(c.out, c.str("format"), c.bool("quiet"), rows)
}

// labRowOf describes a lab. The topology of a broken one may be nil.
func labRowOf(name string, t *lab.Topology) labRow {
	if t == nil {
		return labRow{Name: name}
	}
	return labRow{
		Name: name, About: strings.TrimSuffix(t.Summary(), "."),
		Nodes: fmt.Sprint(len(t.Hosts) + len(t.Nodes)), Checks: fmt.Sprint(len(t.Expect)),
	}
}

// checkRow is one line of lab check.
type checkRow struct{ From, To, By, Before, Want, Got, Result, Time string }

func checkListing() listing[checkRow] {
	return listing[checkRow]{
		table: "{{.From}}\t{{.To}}\t{{.By}}\t{{.Before}}\t{{.Want}}\t{{.Got}}\t{{.Result}}",
		header: checkRow{
			From: "FROM", To: "TO", By: "BY", Before: "BEFORE", Want: "EXPECTED", Got: "CAME", Result: "RESULT", Time: "TIME",
		},
	}
}

func runLabCheck(c *call) error {
	labs, t, err := c.topology()
	if err != nil {
		return err
	}
	results, err := labs.Check(c.ctx, t)
	if err != nil {
		return err
	}
	var rows []checkRow
	bad := 0
	for _, r := range results {
		row := checkRow{
			From: r.From, To: r.To, By: r.By, Before: r.Before, Want: r.Want, Got: r.Got, Result: "pass",
			Time: r.Elapsed.Round(10 * time.Microsecond).String(),
		}
		switch {
		case r.Skipped:
			row.Result = "skipped"
		case !r.Met:
			row.Result = "FAIL"
			bad++
		}
		rows = append(rows, row)
	}
	if err := checkListing().print(c.out, c.str("format"), false, rows); err != nil || bad == 0 {
		return err
	}
	return fmt.Errorf("lab %s: %d of %d %s not as expected", t.Name, bad, len(rows), map[bool]string{true: "is", false: "are"}[bad == 1])
}

func labShowCommand() *command {
	return &command{
		name: "show", args: "LAB|FILE", min: 1, max: 1, complete: "builtins", run: runLabShow,
		short: "Show what a lab teaches and what it is made of", example: "mini lab show router\nmini lab show --format json router",
		flags: func() flagSet { return flagSet{formatFlag()} },
	}
}

func partListing() listing[lab.Part] {
	return listing[lab.Part]{
		table:  "{{.Place}}\t{{.Kind}}\t{{.Interface}}\t{{.Addresses}}\t{{.Joins}}",
		header: lab.Part{Place: "NODE", Kind: "KIND", Interface: "INTERFACE", Addresses: "ADDRESSES", Joins: "JOINS"},
	}
}

func runLabShow(c *call) error {
	_, t, err := c.topology()
	if err != nil {
		return err
	}
	if c.str("format") == "" && t.About != "" {
		c.printf("%s\n\n", strings.TrimSpace(t.About))
	}
	return partListing().print(c.out, c.str("format"), false, t.Parts())
}
