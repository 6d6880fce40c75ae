package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// defaultDetachKeys is Docker's way out of a terminal without ending it.
const defaultDetachKeys = "ctrl-p,ctrl-q"

// parseDetachKeys reads keys joined by commas: a character, or ctrl- and one of
// a-z, @, [, \, ], ^ and _.
func parseDetachKeys(text string) ([]byte, error) {
	if text == "" {
		text = defaultDetachKeys
	}
	var keys []byte
	for _, word := range strings.Split(text, ",") {
		key, err := parseKey(word)
		if err != nil {
			return nil, fmt.Errorf("invalid detach keys (%s): %w", text, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKey(word string) (byte, error) {
	if len(word) == 1 && word[0] < 0x80 {
		return word[0], nil
	}
	name, ok := strings.CutPrefix(strings.ToLower(word), "ctrl-")
	switch {
	case !ok || len(name) != 1:
	case name[0] >= 'a' && name[0] <= 'z':
		return name[0] - 'a' + 1, nil
	case strings.Contains("@[\\]^_", name):
		return name[0] - '@', nil
	}
	return 0, fmt.Errorf("unknown key '%s'", word)
}

// errDetached says that the detach keys were typed.
var errDetached = errors.New("read escape sequence")

// escapeReader passes on what it reads until the detach keys come. The start of
// the sequence is held back until it is clear that the rest does not follow.
type escapeReader struct {
	in      io.Reader
	keys    []byte
	matched int    // how many keys were typed so far
	ready   []byte // to be passed on
	err     error
}

func (r *escapeReader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 && r.err == nil {
		buf := make([]byte, max(len(p), 1))
		n, err := r.in.Read(buf)
		r.scan(buf[:n])
		if err != nil && r.err == nil {
			r.ready = append(r.ready, r.keys[:r.matched]...)
			r.matched, r.err = 0, err
		}
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	if len(r.ready) == 0 && n == 0 {
		return 0, r.err
	}
	return n, nil
}

// scan looks for the keys, also across the bounds of reads.
func (r *escapeReader) scan(typed []byte) {
	for _, b := range typed {
		for b != r.keys[r.matched] && r.matched > 0 {
			r.giveBack()
		}
		if b != r.keys[r.matched] {
			r.ready = append(r.ready, b)
			continue
		}
		r.matched++
		if r.matched == len(r.keys) {
			r.err = errDetached
			return
		}
	}
}

// giveBack passes on what turned out not to begin the sequence: as few keys as
// leave the end of what was typed a beginning of the sequence again.
func (r *escapeReader) giveBack() {
	typed := r.keys[:r.matched]
	keep := r.matched - 1
	for keep > 0 && string(typed[len(typed)-keep:]) != string(r.keys[:keep]) {
		keep--
	}
	r.ready = append(r.ready, typed[:len(typed)-keep]...)
	r.matched = keep
}
