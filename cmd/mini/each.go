package main

import (
	"errors"
	"fmt"
)

// forgivenError is said, unless it is nil, but does not make the command fail:
// --force met something that is not there.
type forgivenError struct{ error }

// each does one thing to several objects, one after the other. It prints each
// name that worked, goes on after an error, and joins the errors.
func (c *call) each(refs []string, fn func(ref string) error) error {
	var errs []error
	for _, ref := range refs {
		err := fn(ref)
		var forgiven *forgivenError
		switch {
		case err == nil:
			c.println(ref)
		case errors.As(err, &forgiven):
			if forgiven.error != nil {
				fmt.Fprintf(c.err, "Error: %s\n", err)
			}
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// atATime bounds what eachAtOnce does side by side, as in Docker.
const atATime = 50

// eachAtOnce is each, side by side. It prints in the order of refs.
func (c *call) eachAtOnce(refs []string, fn func(ref string) error) error {
	results := make([]chan error, len(refs))
	for i := range refs {
		results[i] = make(chan error, 1)
	}
	go func() {
		slots := make(chan struct{}, atATime)
		for i, ref := range refs {
			slots <- struct{}{}
			go func() {
				results[i] <- fn(ref)
				<-slots
			}()
		}
	}()
	i := -1
	return c.each(refs, func(string) error {
		i++
		return <-results[i]
	})
}
