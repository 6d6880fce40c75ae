package plan

import (
	"fmt"
	"io"
	"strings"
)

// Script writes the plan as a POSIX shell script that has the plan's effect:
// run as root in an empty host it builds what Run would build.
func (p Plan) Script(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", p.Title)
	for i, step := range p.Steps {
		fmt.Fprintf(&b, "\n# %d. %s\n", i+1, step.Name)
		writeComment(&b, step.Why)
		for _, c := range step.Cmds {
			b.WriteString(c)
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeComment(b *strings.Builder, text string) {
	if text == "" {
		return
	}
	for _, line := range wrap(text, 90) {
		b.WriteString("#    ")
		b.WriteString(line)
		b.WriteByte('\n')
	}
}

// Explainer returns an [Observer] that prints each step to w: its number, name
// and time, then why, then the commands a person would have typed.
func Explainer(w io.Writer) Observer {
	title := ""
	return func(e Event) {
		var b strings.Builder
		if e.Plan != title {
			title = e.Plan
			fmt.Fprintf(&b, "== %s\n", title)
		}
		verb := ""
		if e.Undo {
			verb = "undo: "
		}
		fmt.Fprintf(&b, "[%d/%d] %s%s  (%.2f ms)\n", e.Index+1, e.Total, verb, e.Step.Name,
			float64(e.Elapsed.Microseconds())/1000)
		if !e.Undo {
			for _, line := range wrap(e.Step.Why, 90) {
				fmt.Fprintf(&b, "      %s\n", line)
			}
			for _, c := range e.Step.Cmds {
				fmt.Fprintf(&b, "      $ %s\n", c)
			}
		}
		if e.Err != nil {
			fmt.Fprintf(&b, "      failed: %s\n", e.Err.Error())
		}
		// The explanation is a courtesy: a closed terminal must not stop a start.
		_, _ = io.WriteString(w, b.String())
	}
}

// wrap breaks text at spaces into lines of at most width bytes where it can.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Quote returns s as one word of a POSIX shell command.
func Quote(s string) string {
	if s != "" && strings.IndexFunc(s, special) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func special(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		strings.ContainsRune("-_./:,=@%+", r))
}

// Command joins words into one shell command, quoting where needed.
func Command(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, " ")
}
