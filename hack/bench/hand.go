package main

import (
	"context"
	_ "embed"
	"fmt"
	"path/filepath"
)

// Columns of the paths built by hand.
const (
	byHandBridge = "bridge by hand"
	byHandVeth   = "veth by hand"
)

// handScript is what a person would type.
//
//go:embed hand.sh
var handScript string

// byHand is a private host without an engine.
type byHand struct{ host *privateHost }

// buildByHand makes the same network with ip and iptables: once with a bridge
// as the engines have, once with a bare veth pair.
func (b *bench) buildByHand(ctx context.Context) ([]endpoint, error) {
	var ends []endpoint
	for _, hand := range []struct{ column, kind string }{{byHandBridge, "bridge"}, {byHandVeth, "veth"}} {
		h, err := newHost(b.base, "hand-"+hand.kind, asMachine)
		if err != nil {
			return nil, err
		}
		b.hands = append(b.hands, &byHand{h})
		end, err := h.build(ctx, hand.kind)
		if err != nil {
			return nil, fmt.Errorf("building a %s by hand: %w", hand.kind, err)
		}
		end.column = hand.column
		ends = append(ends, end)
	}
	return ends, nil
}

// build starts a process in an empty network namespace and connects it.
func (h *privateHost) build(ctx context.Context, kind string) (endpoint, error) {
	var pid int
	sleep := Command{Log: filepath.Join(h.dir, "sleep.log"), Args: []string{"unshare", "--net", "sleep", "86400"}}
	if err := h.call(ctx, "Start", sleep, &pid); err != nil {
		return endpoint{}, err
	}
	c := Command{Args: []string{"sh", "-eu", "-c", handScript, "hand.sh", kind, fmt.Sprint(pid), iperfPort, echoPort}}
	var r Result
	if err := h.call(ctx, "Run", c, &r); err != nil {
		return endpoint{}, err
	}
	c.Args[3] = "hand.sh" // the script is too long for an error
	return endpoint{host: h, place: fmt.Sprintf("pid:%d", pid), addr: "172.30.0.2"}, r.failure(c)
}
