package lab

import (
	_ "embed"
	"reflect"
	"strings"
)

// Schema is the JSON schema of topology files, for editors. It is made from the tags of [Topology]'s
// fields, by a test.
//
//go:embed schema.json
var Schema []byte

// schemaOf makes the schema of a type.
func schemaOf(t reflect.Type, tag reflect.StructTag) map[string]any {
	s := map[string]any{}
	switch t.Kind() {
	case reflect.Struct:
		objectSchema(t, s)
	case reflect.Slice:
		s["type"] = "array"
		s["items"] = schemaOf(t.Elem(), withoutDoc(tag))
	case reflect.Map:
		s["type"], s["additionalProperties"] = "object", schemaOf(t.Elem(), "")
		s["propertyNames"] = map[string]any{"pattern": map[string]string{"place": placeName, "link": linkName}[tag.Get("keys")]}
	case reflect.Int:
		s["type"] = "integer"
	default:
		s["type"] = []string{"string", "integer"} // YAML reads 1 as a number
		valueSchema(tag, s)
	}
	if doc := tag.Get("doc"); doc != "" {
		s["description"] = doc
	}
	return s
}

func objectSchema(t reflect.Type, s map[string]any) {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue // not of the file
		}
		properties[key] = schemaOf(f.Type, f.Tag)
		if f.Tag.Get("required") != "" {
			required = append(required, key)
		}
	}
	s["type"], s["properties"], s["additionalProperties"] = "object", properties, false
	if len(required) > 0 {
		s["required"] = required
	}
}

func valueSchema(tag reflect.StructTag, s map[string]any) {
	if p := tag.Get("pattern"); p != "" {
		s["pattern"], s["type"] = p, "string"
	}
	if e := tag.Get("enum"); e != "" {
		s["enum"], s["type"] = strings.Split(e, ","), "string"
	}
}

// withoutDoc leaves what an element of a list is bound by.
func withoutDoc(tag reflect.StructTag) reflect.StructTag {
	text, _, _ := strings.Cut(string(tag), " doc:")
	return reflect.StructTag(text)
}
