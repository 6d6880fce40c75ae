package network

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of failure, for errors.Is.
var (
	// ErrNotFound: there is no such network or endpoint.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous: an id prefix fits several networks.
	ErrAmbiguous = errors.New("ambiguous")
	// ErrExists: the name is taken.
	ErrExists = errors.New("already exists")
	// ErrInUse: containers are connected.
	ErrInUse = errors.New("in use")
	// ErrInvalid: the request makes no sense, whatever the host's state.
	ErrInvalid = errors.New("invalid")
)

// kindError has a text of its own and a kind for errors.Is.
type kindError struct {
	kind error
	text string
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }

func errorf(kind error, format string, args ...any) error {
	return &kindError{kind: kind, text: fmt.Sprintf(format, args...)}
}

// inUse names the containers that keep a network.
func inUse(n *Network, eps []Endpoint) error {
	var names []string
	for _, ep := range eps {
		names = append(names, fmt.Sprintf("name:%q id:%q", ep.ContainerName, short(ep.ContainerID)))
	}
	return errorf(ErrInUse, "network %s has active endpoints (%s)", n.Name, strings.Join(names, ", "))
}

// short gives the first 12 digits of an id, as Docker shows it.
func short(id string) string { return id[:min(12, len(id))] }
