package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// The servers inside the container, published under the same numbers.
const (
	iperfPort = "5201"
	echoPort  = "5202"
)

// path is a way a packet takes.
type path struct {
	key, title string
	client     string // place; "container" for the container
	server     string // address; "container" for the container's
}

var allPaths = []path{
	{"bridge", "host → container", "", "container"},
	{"masquerade", "container → outside", "container", outsidePrefix.Addr().String()},
	{"publish", "outside → published port", outsidePlace, hostPrefix.Addr().String()},
	{"local", "127.0.0.1 → published port", "", "127.0.0.1"},
}

// endpoint is a container with servers, or what was built by hand in its stead.
type endpoint struct {
	column string
	host   *privateHost
	place  string // the container's network namespace
	addr   string
}

// paths measures throughput and latency on each path.
func paths(ctx context.Context, b *bench) ([]row, error) {
	const key, name = "path", "bench-path"
	if _, err := exec.LookPath("iperf3"); err != nil {
		return nil, fmt.Errorf("iperf3 is %w", errMissing)
	}
	var ends []endpoint
	engines := b.each(ctx, key, b.supporting((*engine).full), func(e *engine) error {
		end, err := e.endpoint(ctx, name)
		if err == nil {
			err = end.serve(ctx)
		}
		if err == nil {
			ends = append(ends, end)
		}
		return err
	})
	defer b.removeAfter(ctx, engines)
	hands, err := b.buildByHand(ctx)
	if err != nil {
		return nil, err
	}
	for _, end := range hands {
		if err := end.serve(ctx); err != nil {
			return nil, err
		}
	}
	return b.measurePaths(ctx, append(ends, hands...)), nil
}

// endpoint starts a container whose network namespace the servers use.
func (e *engine) endpoint(ctx context.Context, name string) (endpoint, error) {
	_, err := e.do(ctx, e.idle(name, "-p", iperfPort+":"+iperfPort, "-p", echoPort+":"+echoPort))
	if err != nil {
		return endpoint{}, err
	}
	pid, addr, err := e.address(ctx, name)
	return endpoint{e.name, e.host, fmt.Sprintf("pid:%d", pid), addr}, err
}

// serve starts the servers in the container and outside.
func (p endpoint) serve(ctx context.Context) error {
	for _, place := range []string{p.place, outsidePlace} {
		var pid int
		iperf := Command{Place: place, Log: p.host.dir + "/iperf3.log", Args: []string{"iperf3", "-s", "-p", iperfPort}}
		err := p.host.call(ctx, "Start", iperf, &pid)
		var ok bool
		if err == nil {
			err = p.host.call(ctx, "Echo", Address{place, ":" + echoPort}, &ok)
		}
		if err != nil {
			return fmt.Errorf("starting servers for %s: %w", p.column, err)
		}
	}
	return nil
}

// measurePaths takes the samples, every path and endpoint in turn. An endpoint
// that fails is left out from then on.
func (b *bench) measurePaths(ctx context.Context, ends []endpoint) []row {
	rows := pathRows()
	for i := range b.pathRounds() + 1 {
		for j, p := range allPaths {
			var well []endpoint
			for _, end := range ends {
				rate, delay, err := end.sample(ctx, p)
				if ctx.Err() != nil {
					return rows
				}
				if err != nil {
					b.note("%s, %s: %v", end.column, p.title, err)
					continue
				}
				well = append(well, end)
				if i > 0 { // the first round warms up
					rows[j].add(end.column, rate)
					rows[len(allPaths)+j].add(end.column, delay)
				}
			}
			ends = well
		}
	}
	return rows
}

// pathRows are the rows of all paths without samples: throughput, then latency.
func pathRows() []row {
	var throughput, latency []row
	for _, p := range allPaths {
		throughput = append(throughput, row{"path-" + p.key, "iperf3, " + p.title, bitRate, map[string][]float64{}, nearHand(0.97)})
		latency = append(latency, row{"latency-" + p.key, "connect and 1 byte, " + p.title, seconds, map[string][]float64{}, nearHand(0.97)})
	}
	return append(throughput, latency...)
}

// pathRounds is a third of the other samples: each takes a second.
func (b *bench) pathRounds() int { return max(1, b.opts.runs/3) }

// sample measures one path once.
func (p endpoint) sample(ctx context.Context, way path) (rate, delay float64, err error) {
	place, addr := way.client, way.server
	if place == "container" {
		place = p.place
	}
	if addr == "container" {
		addr = p.addr
	}
	if rate, err = p.throughput(ctx, place, addr); err != nil {
		return 0, 0, err
	}
	q := LatencyRequest{Address{place, addr + ":" + echoPort}, 300}
	return rate, delay, p.host.call(ctx, "Latency", q, &delay)
}

// throughput runs iperf3 for a second. The server may still be busy with the
// client before, or not be there yet.
func (p endpoint) throughput(ctx context.Context, place, addr string) (rate float64, err error) {
	c := Command{Place: place, Timeout: 10 * time.Second, Args: []string{"iperf3", "-c", addr, "-p", iperfPort, "-t", "1", "-J"}}
	err = poll(3*time.Second, func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var r Result
		if err := p.host.call(ctx, "Run", c, &r); err != nil {
			return err
		}
		rate, err = parseIperf([]byte(r.Stdout))
		return err
	})
	return rate, err
}

// parseIperf reads what iperf3 -J prints: bits per second that arrived.
func parseIperf(out []byte) (float64, error) {
	var report struct {
		Error string `json:"error"`
		End   struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return 0, fmt.Errorf("reading the report of iperf3: %w", err)
	}
	if report.Error != "" {
		return 0, errors.New("iperf3: " + strings.TrimSpace(report.Error))
	}
	if report.End.Received.Rate <= 0 {
		return 0, errors.New("iperf3 received nothing")
	}
	return report.End.Received.Rate, nil
}
