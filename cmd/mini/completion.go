package main

import (
	"fmt"
	"strings"
)

func completionCommand() *command {
	return &command{
		name: "completion", args: "bash|zsh|fish", min: 1, max: 1, short: "Print a completion script for a shell",
		example: "mini completion bash > /etc/bash_completion.d/mini\n" +
			"mini completion zsh > \"${fpath[1]}/_mini\"\n" +
			"mini completion fish > ~/.config/fish/completions/mini.fish",
		run: func(c *call) error {
			var b strings.Builder
			switch shell := c.arg(0); shell {
			case "bash":
				bashCompletion(&b)
			case "zsh":
				b.WriteString("#compdef mini\nautoload -U +X bashcompinit && bashcompinit\n")
				bashCompletion(&b)
			case "fish":
				fishCompletion(&b)
			default:
				return fmt.Errorf("no completion for %q: there is one for bash, zsh and fish", shell)
			}
			return flush(c.out, &b)
		},
	}
}

// completable is one command as the scripts see it.
type completable struct {
	path  string // "network create"
	words []string
	kind  string // of its arguments, see names
	cmd   *command
}

// completables walks over all commands.
func completables(prefix string, list []*command) []completable {
	var out []completable
	for _, c := range list {
		if c.hidden {
			continue
		}
		one := completable{path: strings.TrimSpace(prefix + " " + c.name), kind: c.complete, cmd: c}
		for _, f := range c.flagSet() {
			one.words = append(one.words, "--"+f.name)
		}
		var subs []*command
		if c.subs != nil {
			subs = c.subs()
			for _, s := range subs {
				one.words = append(one.words, s.name)
			}
		}
		out = append(append(out, one), completables(one.path, subs)...)
	}
	return out
}

// namesOf are the commands that list what can be named.
func namesOf() [][2]string {
	return [][2]string{
		{"containers", "mini ps -a --format '{{.Names}}'"},
		{"images", "mini images --format '{{.Repository}}:{{.Tag}}'"},
		{"networks", "mini network ls --format '{{.Name}}'"},
		{"volumes", "mini volume ls -q"},
		{"labs", "mini lab ls -q"},
		{"builtins", "mini lab ls --format '{{.Name}}'"},
	}
}

// bashCompletion prints a function that finds the command among the words, and
// offers its flags and what it can be given.
func bashCompletion(b *strings.Builder) {
	b.WriteString(`# bash completion for mini

_mini_names() {
	case $1 in
`)
	for _, n := range namesOf() {
		fmt.Fprintf(b, "\t%s) %s 2>/dev/null ;;\n", n[0], n[1])
	}
	b.WriteString(`	esac
}

_mini_words() {
	case $1 in
`)
	var top []string
	for _, f := range globalFlags() {
		top = append(top, "--"+f.name)
	}
	for _, c := range commands() {
		if !c.hidden {
			top = append(top, c.name)
		}
	}
	fmt.Fprintf(b, "\t'') echo '%s' ;;\n", strings.Join(top, " "))
	for _, c := range completables("", commands()) {
		fmt.Fprintf(b, "\t'%s') echo '%s'; _mini_names '%s' ;;\n", c.path, strings.Join(c.words, " "), c.kind)
	}
	b.WriteString(`	*) return 1 ;;
	esac
}

_mini() {
	local path='' word i
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-*) continue ;;
		esac
		if _mini_words "${path:+$path }$word" >/dev/null; then
			path="${path:+$path }$word"
		elif [ -n "$path" ]; then
			break
		fi
	done
	COMPREPLY=($(compgen -W "$(_mini_words "$path")" -- "${COMP_WORDS[COMP_CWORD]}"))
}

complete -o default -F _mini mini
`)
}

func fishCompletion(b *strings.Builder) {
	b.WriteString("# fish completion for mini\n\nfunction __mini_at\n\tset -l words (string match -v -- '-*' (commandline -opc)[2..])\n" +
		"\tset -l n (count $argv)\n\ttest \"$words[1..$n]\" = \"$argv\"\nend\n\ncomplete -c mini -f\n")
	for _, c := range completables("", commands()) {
		parent := "__fish_use_subcommand"
		if i := strings.LastIndexByte(c.path, ' '); i > 0 {
			parent = "__mini_at " + c.path[:i]
		}
		fmt.Fprintf(b, "complete -c mini -n '%s' -a %s -d %s\n", parent, c.cmd.name, fishQuote(c.cmd.short))
		for _, f := range c.cmd.flagSet() {
			fmt.Fprintf(b, "complete -c mini -n '__mini_at %s' -l %s%s -d %s\n", c.path, f.name, fishOptions(f), fishQuote(f.usage))
		}
		for _, n := range namesOf() {
			if n[0] == c.kind {
				fmt.Fprintf(b, "complete -c mini -n '__mini_at %s' -a %s\n", c.path, fishQuote("("+n[1]+" 2>/dev/null)"))
			}
		}
	}
}

func fishOptions(f flagSpec) (s string) {
	if f.short != "" {
		s += " -s " + f.short
	}
	if f.kind != isBool {
		s += " -r"
	}
	return s
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
