package rootfs

import "time"

// The types in this file are the OCI image-spec's, config.md, as far as mini
// uses them. The spec's own Go module compiles regular expressions when a
// program starts, which would be paid in every start of a container.

// ImageConfig is what an image says about how to run it: "config" in config.md.
type ImageConfig struct {
	User         string              `json:"User,omitempty"`         // as in docker run --user
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"` // port/protocol
	Env          []string            `json:"Env,omitempty"`          // K=V
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"` // paths
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"` // name or number
}

// imageSpec is an image's configuration file.
type imageSpec struct {
	Created      *time.Time  `json:"created,omitempty"`
	Architecture string      `json:"architecture"`
	OS           string      `json:"os"`
	Config       ImageConfig `json:"config"`
	RootFS       rootFS      `json:"rootfs"`
	History      []history   `json:"history,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`     // layers
	DiffIDs []string `json:"diff_ids"` // sha256:…, lowest layer first
}

type history struct {
	Created *time.Time `json:"created,omitempty"`
	Comment string     `json:"comment,omitempty"`
}
