package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/rootfs"
	"github.com/minirt/mini/runtime"
)

func inspectCommand() *command {
	return &command{
		name: "inspect", args: "NAME|ID [NAME|ID...]", min: 1, max: -1,
		short: "Return low-level information on containers, images, networks and volumes", complete: "containers",
		example: "mini inspect web\nmini inspect -f '{{.NetworkSettings.IPAddress}}' web\nmini inspect --type image busybox",
		flags: func() flagSet {
			return append(inspectFlags(), sizeFlag(), stringFlag("type", "", "Only objects of this type: container, image, network or volume"))
		},
		run: func(c *call) error { return c.inspect(c.str("type")) },
	}
}

func inspectFlags() flagSet {
	return flagSet{stringFlag("format", "f", "Format output with 'json' or a Go TEMPLATE")}
}

func sizeFlag() flagSpec {
	return boolFlag("size", "s", "Display total file sizes if the type is container")
}

func containerInspectCommand() *command {
	c := inspectOne("container", "CONTAINER [CONTAINER...]", "Display detailed information on one or more containers", "mini container inspect web")
	c.flags = func() flagSet { return append(inspectFlags(), sizeFlag()) }
	return c
}

// inspectOne is the inspect command of a group.
func inspectOne(typ, args, short, example string) *command {
	return &command{
		name: "inspect", args: args, min: 1, max: -1, flags: inspectFlags, short: short, example: example,
		complete: typ + "s", run: func(c *call) error { return c.inspect(typ) },
	}
}

// finder looks up an object of one type.
type finder struct {
	typ  string
	find func(ref string) (any, error)
}

func (c *call) finders(rt *runtime.Runtime) []finder {
	return []finder{
		{"container", func(ref string) (any, error) {
			ctr, err := rt.Find(ref)
			if err != nil {
				return nil, err
			}
			o, err := inspectContainer(rt, ctr)
			if err == nil && c.bool("size") {
				o.SizeRw, o.SizeRootFs, err = sizesOf(ctr)
			}
			return o, err
		}},
		{"image", func(ref string) (any, error) {
			image, err := rt.Images.Find(ref)
			if err != nil {
				return nil, err
			}
			return imageJSONOf(image), nil
		}},
		{"network", func(ref string) (any, error) {
			n, err := rt.Networks.Find(ref)
			if err != nil {
				return nil, err
			}
			return rt.Networks.Inspect(n)
		}},
		{"volume", func(ref string) (any, error) {
			v, err := rt.Images.FindVolume(ref)
			if err != nil {
				return nil, err
			}
			return volumeJSONOf(v), nil
		}},
	}
}

// inspect prints the objects that the arguments name. What is found is printed
// even when something else is not.
func (c *call) inspect(typ string) error {
	rt, err := c.open()
	if err != nil {
		return err
	}
	list := c.finders(rt)
	if typ != "" {
		list = slices.DeleteFunc(list, func(f finder) bool { return f.typ != typ })
		if len(list) == 0 {
			return fmt.Errorf("%q is not a valid value for --type", typ)
		}
	}
	objects := []any{}
	var errs []error
	for _, ref := range c.args() {
		o, err := findAny(list, ref)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		objects = append(objects, o)
	}
	return errors.Join(append([]error{printObjects(c.out, c.str("format"), objects)}, errs...)...)
}

// findAny tries one type after the other.
func findAny(list []finder, ref string) (any, error) {
	for _, f := range list {
		o, err := f.find(ref)
		if err == nil {
			return o, nil
		}
		if len(list) == 1 || !isMissing(err) {
			return nil, err
		}
	}
	return nil, &exitError{code: 1, text: "Error: No such object: " + ref}
}

// isMissing tells whether there is no such object, or cannot be one.
func isMissing(err error) bool {
	for _, kind := range []error{
		runtime.ErrNotFound, network.ErrNotFound, network.ErrInvalid, rootfs.ErrNoImage,
		rootfs.ErrInvalidReference, rootfs.ErrNoVolume, rootfs.ErrInvalidVolumeName,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func printObjects(w io.Writer, format string, objects []any) error {
	if format == "" {
		return writeJSON(w, objects, "    ")
	}
	if format == "json" {
		format = "{{json .}}"
	}
	for _, o := range objects {
		text, err := formatObject(format, o)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, text)
	}
	return nil
}

func writeJSON(w io.Writer, v any, indent string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

// formatObject executes a template on the object, and when it names fields by
// their JSON names on what the JSON says, as Docker does.
func formatObject(format string, o any) (string, error) {
	t, err := parseTemplate(format)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if t.Execute(&b, o) == nil {
		return b.String(), nil
	}
	text, err := json.Marshal(o)
	if err != nil {
		return "", fmt.Errorf("writing JSON: %w", err)
	}
	var raw any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		return "", fmt.Errorf("reading JSON: %w", err)
	}
	b.Reset()
	if err := t.Option("missingkey=error").Execute(&b, raw); err != nil {
		return "", fmt.Errorf("template parsing error: %w", err)
	}
	return b.String(), nil
}
