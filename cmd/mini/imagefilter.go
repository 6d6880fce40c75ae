package main

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minirt/mini/rootfs"
)

// imageQuery chooses among images and their names.
type imageQuery struct {
	filters
	repository string // argument of the command: REPOSITORY[:TAG]

	before, since time.Time
	dangling      *bool
}

func (q *imageQuery) resolve(store *rootfs.Store) error {
	for key, to := range map[string]*time.Time{"before": &q.before, "since": &q.since} {
		values := q.filters[key]
		if len(values) == 0 {
			continue
		}
		image, err := store.Find(values[len(values)-1])
		if err != nil {
			return err
		}
		*to = image.Created
	}
	for _, v := range q.filters["dangling"] {
		b, err := isTrue("dangling", v)
		if err != nil {
			return err
		}
		q.dangling = &b
	}
	return nil
}

// tags gives the names under which an image is shown; "" for one without.
func (q *imageQuery) tags(image *rootfs.Image) []string {
	switch {
	case q.dangling != nil && *q.dangling != (len(image.RepoTags) == 0):
		return nil
	case !q.before.IsZero() && !image.Created.Before(q.before):
		return nil
	case !q.since.IsZero() && !image.Created.After(q.since):
		return nil
	case !q.labels(image.Config.Labels):
		return nil
	}
	patterns := slices.Clone(q.filters["reference"])
	if len(image.RepoTags) == 0 {
		if q.repository != "" || len(patterns) > 0 {
			return nil
		}
		return []string{""}
	}
	return slices.DeleteFunc(slices.Clone(image.RepoTags), func(tag string) bool {
		return q.repository != "" && !matchReference(q.repository, tag) ||
			len(patterns) > 0 && !slices.ContainsFunc(patterns, func(p string) bool { return matchReference(p, tag) })
	})
}

// matchReference compares a name with a pattern of path.Match, which may leave
// out the tag.
func matchReference(pattern, tag string) bool {
	repository, _ := splitTag(tag)
	pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "docker.io/"), "library/")
	for _, s := range []string{tag, repository} {
		if ok, err := path.Match(pattern, s); ok && err == nil {
			return true
		}
	}
	return false
}
