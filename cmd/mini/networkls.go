package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/runtime/logs"
)

func networkLsCommand() *command {
	return &command{
		name: "ls", aliases: []string{"list"}, max: 0, run: runNetworkLs, short: "List networks",
		example: "mini network ls --filter driver=bridge\nmini network ls --format '{{.Name}}'",
		flags: func() flagSet {
			return flagSet{
				filterFlag(), formatFlag(),
				boolFlag("no-trunc", "", "Do not truncate the output"),
				boolFlag("quiet", "q", "Only display network IDs"),
			}
		},
	}
}

// networkRow is one line of network ls; the fields are those of --format.
type networkRow struct {
	CreatedAt, Driver, ID, IPv4, IPv6, Internal, Labels, Name, Scope string

	labels map[string]string // nil in the header
}

// Label gives one label's value, for --format.
func (r networkRow) Label(name string) string {
	if r.labels == nil {
		return columnTitle(name)
	}
	return r.labels[name]
}

func networkListing() listing[networkRow] {
	return listing[networkRow]{
		table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
		header: networkRow{
			ID: "NETWORK ID", Name: "NAME", Driver: "DRIVER", Scope: "SCOPE", IPv4: "IPV4", IPv6: "IPV6", Internal: "INTERNAL",
			Labels: "LABELS", CreatedAt: "CREATED AT",
		},
		quiet: func(r networkRow) string { return r.ID },
	}
}

func runNetworkLs(c *call) error {
	f, err := parseFilters(c.list("filter"), "dangling", "driver", "id", "label", "name", "scope", "type")
	if err != nil {
		return err
	}
	rt, err := c.open()
	if err != nil {
		return err
	}
	all, err := rt.Networks.List()
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b *network.Network) int { return naturally(a.Name, b.Name) })
	var rows []networkRow
	for _, n := range all {
		ok, err := networkFits(f, n, rt.Networks.Endpoints)
		if err != nil {
			return err
		}
		if ok {
			rows = append(rows, networkRowOf(n, c.bool("no-trunc")))
		}
	}
	return networkListing().print(c.out, c.str("format"), c.bool("quiet"), rows)
}

func networkRowOf(n *network.Network, full bool) networkRow {
	r := networkRow{
		ID: n.ID, Name: n.Name, Driver: n.Driver, Scope: "local", IPv4: strconv.FormatBool(n.HasIPv4() || !n.HasIPv6()), IPv6: strconv.FormatBool(n.HasIPv6()),
		Internal: strconv.FormatBool(n.Internal), Labels: joinLabels(n.Labels), labels: n.Labels,
		CreatedAt: n.Created.Local().Format("2006-01-02 15:04:05.999999999 -0700 MST"),
	}
	if r.labels == nil {
		r.labels = map[string]string{}
	}
	if !full {
		r.ID = shortID(n.ID)
	}
	return r
}

func networkFits(f filters, n *network.Network, endpoints func(*network.Network) ([]network.Endpoint, error)) (bool, error) {
	for _, v := range f["type"] {
		if v != "builtin" && v != "custom" {
			return false, fmt.Errorf("invalid filter 'type=%s'", v)
		}
	}
	kind := "custom"
	if n.Predefined() {
		kind = "builtin"
	}
	fits := f.any("driver", func(v string) bool { return v == n.Driver }) &&
		f.any("id", func(v string) bool { return strings.HasPrefix(n.ID, v) || match(v, n.ID) }) &&
		f.labels(n.Labels) &&
		f.any("name", func(v string) bool { return match(v, n.Name) }) &&
		f.any("scope", func(v string) bool { return v == "local" }) &&
		f.any("type", func(v string) bool { return v == kind })
	for _, v := range f["dangling"] {
		want, err := isTrue("dangling", v)
		if err != nil {
			return false, err
		}
		eps, err := endpoints(n)
		if err != nil {
			return false, err
		}
		fits = fits && want == (len(eps) == 0 && !n.Predefined())
	}
	return fits, nil
}

// pruneFilter gives the function that says which unused networks stay.
func pruneFilter(list []string) (keep func(*network.Network) bool, err error) {
	f, err := parseFilters(list, "label", "label!", "until")
	if err != nil {
		return nil, err
	}
	var until []time.Time
	for _, v := range f["until"] {
		t, err := logs.ParseTime(v, time.Now())
		if err != nil {
			return nil, fmt.Errorf("invalid filter 'until=%s': %w", v, err)
		}
		until = append(until, t)
	}
	spare := filters{"label": f["label!"]}
	return func(n *network.Network) bool {
		return !f.labels(n.Labels) || len(spare["label"]) > 0 && spare.labels(n.Labels) || slices.ContainsFunc(until, func(t time.Time) bool { return !n.Created.Before(t) })
	}, nil
}
