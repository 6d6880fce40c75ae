package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// columns are the engines in the order of the table, and the paths built by
// hand that the network rows are compared with.
var columns = []string{"mini", "docker", "podman", "runc", "crun", byHandBridge, byHandVeth}

// row is one measure: samples by column.
type row struct {
	key     string // what -only matches, and what the goals refer to
	title   string
	unit    unit
	samples map[string][]float64
	goal    goal
}

// value is the median of a column, NaN when it was not measured.
func (r row) value(column string) float64 { return median(r.samples[column]) }

func (r row) add(column string, v float64) { r.samples[column] = append(r.samples[column], v) }

// share tells how many times better mini is than a column, as the median over
// the rounds: what slows the machine down for a while slows both. Half of the
// rounds are within the spread around it, more or less.
func (r row) share(column string) (middle, around float64) {
	mini, other := r.samples["mini"], r.samples[column]
	var shares []float64
	for i := range min(len(mini), len(other)) {
		shares = append(shares, r.unit.advantage(mini[i], other[i]))
	}
	return median(shares), spread(shares)
}

// table is what bench prints.
type table struct{ rows []row }

// find returns the row with that key.
func (t table) find(key string) (row, bool) {
	i := slices.IndexFunc(t.rows, func(r row) bool { return r.key == key })
	if i < 0 {
		return row{}, false
	}
	return t.rows[i], true
}

// write prints the table in Markdown, its columns aligned for reading as text.
func (t table) write(w io.Writer) error {
	cells := [][]string{append(append([]string{""}, columns...), "docker/mini", "target", "met", "n")}
	for _, r := range t.rows {
		cells = append(cells, t.cells(r))
	}
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, c := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for i, line := range cells {
		writeLine(&b, line, widths)
		if i == 0 {
			writeRule(&b, widths)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cells are the texts of one row.
func (t table) cells(r row) []string {
	line := []string{r.title}
	n := 0
	for _, c := range columns {
		line = append(line, r.unit.format(r.value(c)))
		n = max(n, len(r.samples[c]))
	}
	return append(line, ratio(r), r.goal.text, r.goal.verdict(t, r), fmt.Sprint(n))
}

// ratio tells how many times better than docker mini is.
func ratio(r row) string {
	a := r.unit.advantage(r.value("mini"), r.value("docker"))
	if math.IsNaN(a) {
		return "-"
	}
	return digits(a)
}

func writeLine(b *strings.Builder, line []string, widths []int) {
	for i, c := range line {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
		if i == 0 {
			c += pad
		} else {
			c = pad + c
		}
		fmt.Fprintf(b, "| %s ", c)
	}
	b.WriteString("|\n")
}

func writeRule(b *strings.Builder, widths []int) {
	for i, w := range widths {
		if i == 0 {
			fmt.Fprintf(b, "|%s", strings.Repeat("-", w+2))
		} else {
			fmt.Fprintf(b, "|%s:", strings.Repeat("-", w+1))
		}
	}
	b.WriteString("|\n")
}
