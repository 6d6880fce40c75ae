package runtime

import (
	"errors"
	"fmt"
)

// The kinds of failure, for errors.Is.
var (
	ErrNotFound  = errors.New("not found")
	ErrAmbiguous = errors.New("ambiguous id")
	ErrExists    = errors.New("already in use")
	ErrConflict  = errors.New("conflict with the container's state")
	ErrInvalid   = errors.New("invalid")
	ErrRunning   = errors.New("already running")
)

// The exit codes of a command that could not run, as docker-run(1) has them.
const (
	ExitMini        = 125 // mini itself failed
	ExitCannotExec  = 126 // the command cannot be executed
	ExitNotFound    = 127 // the command was not found
	exitSignalBase  = 128 // plus the signal's number
	exitNeverWaited = 255 // the monitor died before it knew
)

// StartError is a start that failed, with the code the CLI should exit with.
type StartError struct {
	Code int // one of the Exit constants
	Err  error
}

func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }

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
