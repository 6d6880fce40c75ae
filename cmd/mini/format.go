package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"text/template"
)

// templateFuncs are those of Docker's --format.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"json": toJSON, "split": strings.Split, "lower": strings.ToLower, "upper": strings.ToUpper,
		"join": joinAny, "title": title, "pad": pad, "truncate": truncate,
	}
}

func toJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("writing JSON: %w", err)
	}
	return strings.TrimSpace(b.String()), nil
}

// joinAny joins texts, also those that came out of JSON as []any.
func joinAny(list any, sep string) (string, error) {
	switch l := list.(type) {
	case []string:
		return strings.Join(l, sep), nil
	case []any:
		words := make([]string, len(l))
		for i, w := range l {
			words[i] = fmt.Sprint(w)
		}
		return strings.Join(words, sep), nil
	}
	return "", fmt.Errorf("join wants a list, not %T", list)
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// pad puts spaces before and behind a text that is not empty.
func pad(s string, before, behind int) string {
	if s == "" {
		return s
	}
	return strings.Repeat(" ", before) + s + strings.Repeat(" ", behind)
}

func truncate(s string, n int) string {
	r := []rune(s)
	if n < 0 || len(r) <= n {
		return s
	}
	return string(r[:n])
}

func parseTemplate(text string) (*template.Template, error) {
	// Docker lets a shell's single quotes carry \t and \n.
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	t, err := template.New("").Funcs(templateFuncs()).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("template parsing error: %w", err)
	}
	return t, nil
}

// listing prints rows as the --format flag wants them. T has a field for each
// column; header is a T whose fields are the columns' titles.
type listing[T any] struct {
	table  string // template of the default table
	header T
	quiet  func(T) string // what -q prints
}

func (l listing[T]) print(w io.Writer, format string, quiet bool, rows []T) error {
	if quiet {
		for _, r := range rows {
			fmt.Fprintln(w, l.quiet(r))
		}
		return nil
	}
	text, isTable := l.template(format)
	t, err := parseTemplate(text)
	if err != nil {
		return err
	}
	if !isTable {
		return executeAll(w, t, rows)
	}
	tw := tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)
	if err := executeAll(tw, t, append([]T{l.header}, rows...)); err != nil {
		return err
	}
	return tw.Flush()
}

// template gives the template behind a --format, and whether it is a table.
func (l listing[T]) template(format string) (text string, isTable bool) {
	format = strings.TrimSpace(format)
	switch {
	case format == "" || format == "table":
		return l.table, true
	case format == "json":
		return "{{json .}}", false
	case strings.HasPrefix(format, "table ") || strings.HasPrefix(format, `table\t`):
		return strings.TrimSpace(strings.TrimPrefix(format, "table")), true
	}
	return format, false
}

func executeAll[T any](w io.Writer, t *template.Template, rows []T) error {
	for _, r := range rows {
		if err := t.Execute(w, r); err != nil {
			return templateError(err, r)
		}
		fmt.Fprintln(w)
	}
	return nil
}

// templateError tells who asked for a column that a row has not which there are,
// instead of the row's type.
func templateError(err error, row any) error {
	t := reflect.TypeOf(row)
	var columns []string
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			columns = append(columns, f.Name)
		}
	}
	text := strings.Replace(err.Error(), " in type "+t.String(), ": there are "+strings.Join(columns, ", "), 1)
	return errors.New("template parsing error: " + text)
}

// columnTitle is the title of a column that shows one label, as in Docker.
func columnTitle(label string) string {
	return strings.NewReplacer("-", " ", "_", " ").Replace(label[strings.LastIndex(label, ".")+1:])
}

// shorten cuts a text to n characters, the last of which is then an ellipsis.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// orNone gives Docker's word for what an image has not.
func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

// joinLabels gives labels as k=v, sorted and joined by commas.
func joinLabels(labels map[string]string) string {
	words := make([]string, 0, len(labels))
	for _, k := range sortedKeys(labels) {
		words = append(words, k+"="+labels[k])
	}
	return strings.Join(words, ",")
}
