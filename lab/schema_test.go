package lab

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "write the expected files anew")

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not as expected (go test ./lab -update writes it anew); got:\n%s", file, got)
	}
}

// TestSchema checks that the published schema is that of the types.
func TestSchema(t *testing.T) {
	s := schemaOf(reflect.TypeFor[Topology](), "")
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", "A lab of mini"
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.json", append(data, '\n'))
}

func TestBuiltinsFitTheSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema, &schema); err != nil {
		t.Fatal(err)
	}
	for _, name := range Builtins() {
		_, text, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := yaml.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		for _, fault := range misfits(schema, plain(t, v), name) {
			t.Error(fault)
		}
	}
	bad := map[string]any{
		"colour": "red", "nodes": map[string]any{"A": map[string]any{}}, "routes": []any{map[string]any{"in": true}},
		"expect": []any{map[string]any{"from": "a", "to": "b", "by": "magic"}},
	}
	got := misfits(schema, bad, "bad")
	want := []string{
		"bad/expect/0/by: magic is not one of [ping tcp udp http traceroute]", "bad/nodes: bad key A",
		"bad/routes/0/in: true is a bool", "bad/routes/0: to is missing", "bad: unknown key colour",
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("a bad topology: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// plain turns what YAML gives into what JSON would give.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// misfits checks a value against that part of JSON schema which ours is written in.
func misfits(s map[string]any, v any, at string) (out []string) {
	fail := func(format string, a ...any) { out = append(out, at+fmt.Sprintf(format, a...)) }
	switch x := v.(type) {
	case map[string]any:
		if !isType(s, "object") {
			fail(": is a map")
			return out
		}
		return append(out, objectMisfits(s, x, at)...)
	case []any:
		items, _ := s["items"].(map[string]any)
		if !isType(s, "array") {
			fail(": is a list")
			return out
		}
		for i, e := range x {
			out = append(out, misfits(items, e, fmt.Sprintf("%s/%d", at, i))...)
		}
	case string:
		if p, ok := s["pattern"].(string); !isType(s, "string") || ok && !regexp.MustCompile(p).MatchString(x) {
			fail(": bad value %s", x)
		}
		if e, ok := s["enum"].([]any); ok && !slices.Contains(e, any(x)) {
			fail(": %s is not one of %v", x, e)
		}
	case float64:
		if !isType(s, "integer") {
			fail(": is a number")
		}
	default:
		fail(": %v is a %T", x, x)
	}
	return out
}

func isType(s map[string]any, want string) bool {
	if list, ok := s["type"].([]any); ok {
		return slices.Contains(list, any(want))
	}
	return s["type"] == want
}

func objectMisfits(s, x map[string]any, at string) (out []string) {
	props, _ := s["properties"].(map[string]any)
	for k, e := range x {
		sub, ok := props[k].(map[string]any)
		if more, is := s["additionalProperties"].(map[string]any); is {
			names := s["propertyNames"].(map[string]any)["pattern"].(string)
			if sub, ok = more, true; !regexp.MustCompile(names).MatchString(k) {
				out = append(out, at+": bad key "+k)
			}
		}
		if !ok {
			out = append(out, at+": unknown key "+k)
			continue
		}
		out = append(out, misfits(sub, e, at+"/"+k)...)
	}
	required, _ := s["required"].([]any)
	for _, k := range required {
		if _, ok := x[k.(string)]; !ok {
			out = append(out, fmt.Sprintf("%s: %s is missing", at, k))
		}
	}
	return out
}
