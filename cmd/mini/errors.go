package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/minirt/mini/runtime"
)

// exitError ends mini with a code. Without a text it is silent: the
// container's own code, or everything was said.
type exitError struct {
	code int
	text string
	err  error
}

func (e *exitError) Error() string {
	if e.text == "" && e.err != nil {
		return e.err.Error()
	}
	return e.text
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith ends mini with a container's exit code.
func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

// usageError is a command line that mini does not understand, in Docker's words.
func usageError(path, usage string, err error) error {
	return &exitError{code: runtime.ExitMini, text: err.Error() + "\n\nUsage:  " + usage + "\n\n" + more(path), err: err}
}

// more says where more is to be read.
func more(path string) string { return "Run '" + path + " --help' for more information" }

// runError is a failure of run and create, which have exit codes of their own.
func runError(path string, code int, err error) error {
	return &exitError{
		code: code, err: err,
		text: fmt.Sprintf("mini: %s%s\n\n%s", err, hint(err), more(path)),
	}
}

// startCode is the exit code of a start that failed.
func startCode(err error, otherwise int) int {
	var se *runtime.StartError
	if errors.As(err, &se) {
		return se.Code
	}
	return otherwise
}

// report prints an error, or several that are joined, and gives the exit code. It is the one place where
// errors become text.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := 0
	for _, one := range flatten(err) {
		var e *exitError
		if !errors.As(one, &e) {
			e = &exitError{code: 1, text: "Error: " + one.Error() + hint(one)}
		}
		if text := e.Error(); text != "" {
			fmt.Fprintln(w, text)
		}
		if code == 0 {
			code = e.code
		}
	}
	return code
}

// flatten gives the parts of joined errors.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}

// hint says what a person can do about an error.
func hint(err error) string {
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return "\nmini needs root: try it with sudo"
	}
	return ""
}
