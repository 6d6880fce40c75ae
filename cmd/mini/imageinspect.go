package main

import (
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"

	"github.com/minirt/mini/rootfs"
)

// imageJSON is what inspect prints of an image, with Docker's names.
type imageJSON struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Created      time.Time
	Config       rootfs.ImageConfig
	Architecture string
	Os           string
	Size         int64
	GraphDriver  graphJSON
	RootFS       rootFSJSON
}

type rootFSJSON struct {
	Type   string
	Layers []string
}

func imageJSONOf(image *rootfs.Image) *imageJSON {
	o := &imageJSON{
		ID: imageID(image.ID), RepoTags: orEmpty(image.RepoTags), RepoDigests: []string{}, Created: image.Created,
		Config: image.Config, Architecture: goruntime.GOARCH, Os: goruntime.GOOS, Size: image.Size,
		RootFS: rootFSJSON{Type: "layers", Layers: []string{}},
		GraphDriver: graphJSON{Name: "overlay", Data: map[string]string{
			"LowerDir": strings.Join(image.Layers, ":"),
		}},
	}
	for i := len(image.Layers) - 1; i >= 0; i-- { // topmost first there, last here
		o.RootFS.Layers = append(o.RootFS.Layers, imageID(filepath.Base(filepath.Dir(image.Layers[i]))))
	}
	return o
}
