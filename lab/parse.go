package lab

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// ParseError is a fault of a topology and where in the file it is.
type ParseError struct {
	File         string
	Line, Column int // from 1
	Text         string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// Parse reads a topology from YAML and checks it. File is what errors call it, and its base name
// without the extension is the lab's name unless the topology has one. The error is one
// [*ParseError], or several that are joined.
func Parse(file string, data []byte) (t *Topology, err error) {
	defer func() {
		// The YAML library has slips: it must not take its caller with it.
		if p := recover(); p != nil {
			t, err = nil, &ParseError{file, 1, 1, fmt.Sprintf("no YAML that can be read: %v", p)}
		}
	}()
	if err := plainYAML(file, data); err != nil {
		return nil, err
	}
	t = &Topology{}
	d := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := d.Decode(t); err != nil {
		return nil, yamlError(file, err)
	}
	if err := d.Decode(&Topology{}); !errors.Is(err, io.EOF) {
		return nil, &ParseError{file, 1, 1, "more than one document: want one topology in a file"}
	}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(file, err)
	}
	root := tree.Docs[0].Body
	t.order = order{hosts: keysOf(find(root, "hosts")), nodes: keysOf(find(root, "nodes")), bridges: keysOf(find(root, "bridges"))}
	if t.Name == "" {
		t.Name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	return t, locate(file, root, t.problems())
}

// maxSize is more than a topology that a person can read.
const maxSize = 1 << 20

// plainYAML refuses what topologies do without: anchors and aliases let a short file stand for an endless one.
func plainYAML(file string, data []byte) error {
	if len(data) > maxSize {
		return &ParseError{file, 1, 1, fmt.Sprintf("too long: %d bytes, want %d at most", len(data), maxSize)}
	}
	for _, t := range lexer.Tokenize(string(data)) {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return &ParseError{file, t.Position.Line, t.Position.Column, "anchors, aliases and merges (&, *, <<) are not supported: write it out, or put quotes around it"}
		}
	}
	return nil
}

// yamlError turns an error of the YAML library into ours.
func yamlError(file string, err error) error {
	if errors.Is(err, io.EOF) {
		return &ParseError{file, 1, 1, "empty: want a topology"}
	}
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		return &ParseError{file, 1, 1, err.Error()}
	}
	p := e.GetToken().Position
	return &ParseError{file, p.Line, p.Column, e.GetMessage()}
}

// locate gives each problem its line and column.
func locate(file string, root ast.Node, found []problem) error {
	var errs []error
	for _, p := range found {
		line, column := 1, 1
		if n := find(root, p.at...); n != nil {
			pos := n.GetToken().Position
			line, column = pos.Line, pos.Column
		}
		errs = append(errs, &ParseError{file, line, column, p.text})
	}
	slices.SortStableFunc(errs, func(a, b error) int {
		x, y := a.(*ParseError), b.(*ParseError)
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	return errors.Join(errs...)
}

// find walks down a path of keys (string) and indices (int), as far as it leads.
func find(n ast.Node, at ...any) ast.Node {
	for _, step := range at {
		next := child(n, step)
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// child gives a key's value or a list's element. Of an empty value it gives the key.
func child(n ast.Node, step any) ast.Node {
	if i, ok := step.(int); ok {
		if list, ok := n.(*ast.SequenceNode); ok && i < len(list.Values) {
			return list.Values[i]
		}
		return nil
	}
	for _, kv := range pairsOf(n) {
		if kv.Key.String() != step {
			continue
		}
		switch kv.Value.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.LiteralNode, *ast.SequenceNode:
			return kv.Value
		case *ast.MappingNode, *ast.MappingValueNode:
			return kv.Value
		}
		return kv.Key
	}
	return nil
}

func pairsOf(n ast.Node) []*ast.MappingValueNode {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}
	}
	return nil
}

// keysOf gives a map's keys in the order of the file.
func keysOf(n ast.Node) (keys []string) {
	for _, kv := range pairsOf(n) {
		keys = append(keys, kv.Key.GetToken().Value)
	}
	return keys
}

// inOrder gives a map's keys as the file has them, and those that no file has sorted behind them.
func inOrder[T any](m map[string]T, file []string) []string {
	out := slices.DeleteFunc(slices.Clone(file), func(k string) bool { _, ok := m[k]; return !ok })
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

func firstLine(text string) (line, rest string) {
	line, rest, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return line, rest
}
