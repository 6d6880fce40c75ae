package lab

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// checkTags checks what the tags of Topology's fields say: required, pattern and enum.
func (c *checker) checkTags() { c.tagsOf(reflect.ValueOf(*c.t), nil) }

func (c *checker) tagsOf(v reflect.Value, at []any) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue // not of the file
		}
		c.valueOf(v.Field(i), f.Tag, append(slices.Clone(at), key))
	}
}

func (c *checker) valueOf(v reflect.Value, tag reflect.StructTag, at []any) {
	switch v.Kind() {
	case reflect.Struct:
		c.tagsOf(v, at)
	case reflect.Slice:
		for i := range v.Len() {
			c.valueOf(v.Index(i), tag, append(slices.Clone(at), i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			c.valueOf(v.MapIndex(k), tag, append(slices.Clone(at), k.String()))
		}
	default:
		if text := badValue(v, tag, at[len(at)-1]); text != "" {
			c.found = append(c.found, problem{at, text})
		}
	}
}

// badValue says what is wrong with a single value, or nothing.
func badValue(v reflect.Value, tag reflect.StructTag, key any) string {
	if v.IsZero() {
		if tag.Get("required") != "" {
			return fmt.Sprintf("%v is missing", key)
		}
		return ""
	}
	pattern, enum := tag.Get("pattern"), tag.Get("enum")
	switch {
	case pattern != "" && !matches(pattern, v.String()):
		return fmt.Sprintf("bad %v %q: want what matches %s", key, v, pattern)
	case enum != "" && !slices.Contains(strings.Split(enum, ","), v.String()):
		return fmt.Sprintf("bad %v %q: want one of %s", key, v, strings.ReplaceAll(enum, ",", ", "))
	}
	return ""
}
