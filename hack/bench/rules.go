package main

import (
	"context"
	"strings"
)

// fiftyPorts is a range with the same numbers on both sides.
const fiftyPorts = "9000-9049:9000-9049"

// rulesPerContainer counts the iptables rules that a container brings with it:
// with one published port, and with fifty.
func rulesPerContainer(ctx context.Context, b *bench) ([]row, error) {
	const name = "bench-rules"
	one := row{"rules-one", "iptables rules of a container with `-p 8080:80`", count, map[string][]float64{}, noGoal()}
	fifty := row{"rules-fifty", "the same with `-p " + fiftyPorts + "`", count, map[string][]float64{}, noGoal()}
	b.each(ctx, "rules", b.supporting((*engine).full), func(e *engine) error {
		// What the engine has once for all containers is not counted.
		if _, err := e.do(ctx, e.runTrue("-p", "8080:80")); err != nil {
			return err
		}
		for r, ports := range map[*row]string{&one: "8080:80", &fifty: fiftyPorts} {
			before, err := e.countRules(ctx)
			if err != nil {
				return err
			}
			if _, err := e.do(ctx, e.idle(name, "-p", ports)); err != nil {
				return err
			}
			after, err := e.countRules(ctx)
			if err != nil {
				return err
			}
			r.add(e.name, float64(after-before))
			if _, err := e.do(ctx, e.remove(name)); err != nil {
				return err
			}
		}
		return nil
	})
	return []row{one, fifty}, nil
}

// countRules counts the rules of all tables in the engine's host.
func (e *engine) countRules(ctx context.Context) (int, error) {
	r, err := e.do(ctx, Command{Args: []string{"iptables-save"}})
	return strings.Count(r.Stdout, "\n-A "), err
}

// firewallDrivers measures a start with each of mini's firewall drivers. Only one
// can be in use at a time, so the network goes down in between.
func firewallDrivers(ctx context.Context, b *bench) ([]row, error) {
	const key = "driver"
	var rows []row
	for _, driver := range []string{"iptables", "nftables"} {
		rows = append(rows, row{key + "-" + driver, "`run --rm busybox true`, bridge, `-p`, driver " + driver, seconds, map[string][]float64{}, noGoal()})
	}
	b.each(ctx, key, b.supporting(func(e *engine) bool { return e.name == "mini" }), func(e *engine) error {
		for range b.opts.runs {
			for i, driver := range []string{"iptables", "nftables"} {
				with := *e
				with.base = append(append([]string{}, e.base...), "--firewall-driver", driver)
				if _, err := e.do(ctx, e.command("network", "down", "bridge")); err != nil {
					return err
				}
				if _, err := with.do(ctx, with.runTrue("-p", "8080:80")); err != nil {
					return err
				}
				t, err := with.timed(ctx, with.runTrue("-p", "8080:80"))
				if err != nil {
					return err
				}
				rows[i].add(e.name, t)
			}
		}
		_, err := e.do(ctx, e.command("network", "down", "bridge"))
		return err
	})
	return rows, nil
}
