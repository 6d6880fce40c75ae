package main

import (
	"fmt"
	"io"
	"strings"
)

// printHelp prints the help of one command.
func printHelp(w io.Writer, path string, c *command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nUsage:  %s\n\n%s\n", c.usage(path), c.short)
	if c.long != "" {
		fmt.Fprintf(&b, "\n%s\n", c.long)
	}
	if len(c.aliases) > 0 {
		fmt.Fprintf(&b, "\nAliases:\n  %s\n", strings.Join(append([]string{c.name}, c.aliases...), ", "))
	}
	if c.example != "" {
		b.WriteString("\nExamples:\n")
		for _, line := range strings.Split(c.example, "\n") {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	if c.subs != nil {
		b.WriteString("\nCommands:\n")
		writeCommands(&b, c.subs())
		fmt.Fprintf(&b, "\nRun '%s COMMAND --help' for more information on a command.\n", path)
	}
	if flags := c.flagSet(); len(flags) > 0 {
		b.WriteString("\nOptions:\n")
		writeFlags(&b, flags)
	}
	return flush(w, &b)
}

// printMainHelp prints what mini is and all its commands.
func printMainHelp(w io.Writer) error {
	var b strings.Builder
	b.WriteString("\nUsage:  mini [OPTIONS] COMMAND\n\nRun containers whose networking can be seen through\n\nCommands:\n")
	var groups []*command
	var single []*command
	for _, c := range commands() {
		switch {
		case c.hidden:
		case c.isGroup():
			groups = append(groups, c)
		default:
			single = append(single, c)
		}
	}
	writeCommands(&b, single)
	b.WriteString("\nGroups of commands:\n")
	writeCommands(&b, groups)
	b.WriteString("\nGlobal Options:\n")
	writeFlags(&b, globalFlags())
	b.WriteString("\nExamples:\n  mini run -it --rm busybox sh\n  mini run -d --name web -p 8080:80 busybox httpd -f -h /www\n" +
		"  mini run --explain --rm busybox true\n\nRun 'mini COMMAND --help' for more information on a command.\n")
	return flush(w, &b)
}

func flush(w io.Writer, b *strings.Builder) error {
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the help: %w", err)
	}
	return nil
}

func writeCommands(b *strings.Builder, list []*command) {
	width := 0
	for _, c := range list {
		width = max(width, len(c.name))
	}
	for _, c := range list {
		if !c.hidden {
			fmt.Fprintf(b, "  %-*s  %s\n", width+1, c.name, c.short)
		}
	}
}

// writeFlags prints flags as Docker does: the short form, the long one with
// what its value is, and the meaning, in columns.
func writeFlags(b *strings.Builder, flags flagSet) {
	width := 0
	for _, f := range flags {
		width = max(width, len(f.column()))
	}
	for _, f := range flags {
		fmt.Fprintf(b, "%-*s   %s%s\n", width, f.column(), f.usage, f.remarks())
	}
}

func (f flagSpec) column() string {
	col := "      --" + f.name
	if f.short != "" {
		col = "  -" + f.short + ", --" + f.name
	}
	if f.kind != isBool {
		col += " " + f.value
	}
	return col
}

func (f flagSpec) remarks() string {
	var s string
	if f.def != "" {
		if f.kind == isString {
			s += fmt.Sprintf(" (default %q)", f.def)
		} else {
			s += " (default " + f.def + ")"
		}
	}
	for _, a := range f.aliases {
		s += " (also --" + a + ")"
	}
	if f.env != "" {
		s += " [$" + f.env + "]"
	}
	return s
}
