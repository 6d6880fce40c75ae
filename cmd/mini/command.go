package main

import (
	"fmt"
	"strings"
)

// command describes one command, or a group of them.
type command struct {
	name    string
	aliases []string
	args    string // of the usage line: "IMAGE [COMMAND] [ARG...]"
	short   string // one line
	long    string // more, where mini departs from Docker or needs words
	example string // lines
	// flags are made when the command is chosen.
	flags    func() flagSet
	min, max int  // number of positional arguments; max < 0: any
	ordered  bool // flags end at the first positional argument
	run      func(*call) error
	subs     func() []*command
	hidden   bool
	complete string // what the arguments are: containers, images, networks, volumes
}

func (c *command) flagSet() flagSet {
	if c.flags == nil {
		return nil
	}
	return c.flags()
}

func (c *command) is(name string) bool {
	if c.name == name {
		return true
	}
	for _, a := range c.aliases {
		if a == name {
			return true
		}
	}
	return false
}

// isGroup tells whether there is nothing to do but one of its commands.
func (c *command) isGroup() bool { return c.subs != nil && c.run == nil }

// usage is the usage line.
func (c *command) usage(path string) string {
	words := []string{path}
	if len(c.flagSet()) > 0 {
		words = append(words, "[OPTIONS]")
	}
	if c.isGroup() {
		words = append(words, "COMMAND")
	}
	if c.args != "" {
		words = append(words, c.args)
	}
	return strings.Join(words, " ")
}

// findCommand walks down the words to a command, and gives its path and the
// words behind it.
func findCommand(words []string) (cmd *command, path string, rest []string, err error) {
	path, list := "mini", commands()
	for len(words) > 0 && list != nil {
		if cmd != nil && strings.HasPrefix(words[0], "-") {
			return cmd, path, words, nil // a flag of the group
		}
		next := pick(list, words[0])
		if next == nil && cmd != nil && !cmd.isGroup() {
			return cmd, path, words, nil // an argument of its own
		}
		if next == nil {
			return nil, "", nil, unknownCommand(path, words[0])
		}
		cmd, path, words, list = next, path+" "+next.name, words[1:], nil
		if next.subs != nil {
			list = next.subs()
		}
	}
	return cmd, path, words, nil
}

func pick(list []*command, name string) *command {
	for _, c := range list {
		if c.is(name) {
			return c
		}
	}
	return nil
}

// unknownCommand is Docker's answer to a command that does not exist.
func unknownCommand(path, word string) error {
	text := fmt.Sprintf("mini: unknown command: %s %s", path, word)
	if path != "mini" {
		text += "\n\nUsage:  " + path + " COMMAND"
	}
	return &exitError{code: 1, text: text + "\n\n" + more(path)}
}

// checkArgs checks the number of positional arguments, with Docker's words.
func (c *command) checkArgs(path string, n int) error {
	var what string
	switch {
	case n >= c.min && (c.max < 0 || n <= c.max):
		return nil
	case c.max == 0:
		what = "accepts no arguments"
	case c.min == c.max:
		what = fmt.Sprintf("requires %d %s", c.min, plural(c.min, "argument"))
	case c.max < 0:
		what = fmt.Sprintf("requires at least %d %s", c.min, plural(c.min, "argument"))
	case c.min == 0:
		what = fmt.Sprintf("requires at most %d %s", c.max, plural(c.max, "argument"))
	default:
		what = fmt.Sprintf("requires at least %d and at most %d arguments", c.min, c.max)
	}
	return &exitError{code: 1, text: fmt.Sprintf("mini: '%s' %s\n\nUsage:  %s\n\n%s", path, what, c.usage(path), more(path))}
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func globalFlags() flagSet {
	return flagSet{
		stringFlag("root", "", "Directory of images, containers, volumes and networks").byDefault("/var/lib/mini").fromEnv("MINI_ROOT"),
		stringFlag("state", "", "Directory of locks, leases and sockets (default \"/run/mini\", or ROOT/state with another root)").fromEnv("MINI_STATE"),
		stringFlag("log-level", "l", "What to say on standard error: debug (each networking step, as --explain does), info, warn or error").byDefault("info"),
		stringFlag("chain-prefix", "", "Name of mini's iptables chains (default \"DOCKER\", or \"MINI\" beside a real Docker)").fromEnv("MINI_CHAIN_PREFIX"),
		stringFlag("publish-ip", "", "Host address of ports that new containers publish without one (default \"0.0.0.0\")").fromEnv("MINI_PUBLISH_IP"),
		stringFlag("firewall-driver", "", "How mini's rules are made: iptables or nftables (default iptables, or what is in use)").fromEnv("MINI_FIREWALL_DRIVER"),
		boolFlag("version", "v", "Print version information and quit"),
	}
}
