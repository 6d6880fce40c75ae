package runtime

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/minirt/mini/network"
	"github.com/minirt/mini/rootfs"
)

// The usual directories.
const (
	DefaultRoot  = "/var/lib/mini"
	DefaultState = network.DefaultState
)

// Options say where a Runtime keeps its files.
type Options struct {
	// Root holds images, containers, volumes and networks' definitions.
	Root string
	// State holds locks, sockets and leases: what a reboot makes void.
	State string
	// ChainPrefix names the firewall chains; empty: see network.Options.
	ChainPrefix string
	// Firewall names the firewall driver; empty: see network.Options.
	Firewall string
	// DryRun is for who only looks, as [Runtime.Preview]: see network.Options.
	DryRun bool `json:"-"`
	// Notice is told what the user should know but need not act on. May be nil.
	Notice func(text string) `json:"-"`

	hold func() []*os.File // see network.Options.Hold
}

// Runtime is one root with one state directory. It is safe for use by several
// processes at once.
type Runtime struct {
	Images   *rootfs.Store
	Networks *network.Manager

	opt Options
}

// Open gives a Runtime. It touches neither the kernel nor the disk.
func Open(opt Options) (*Runtime, error) {
	if opt.Root == "" {
		opt.Root = DefaultRoot
	}
	if opt.State == "" {
		opt.State = DefaultState
	}
	for _, dir := range []*string{&opt.Root, &opt.State} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, fmt.Errorf("finding the directory %s: %w", *dir, err)
		}
		*dir = abs
	}
	images, err := rootfs.Open(opt.Root)
	if err != nil {
		return nil, err
	}
	networks, err := network.Open(network.Options{
		Root: opt.Root, State: opt.State, ChainPrefix: opt.ChainPrefix, Firewall: opt.Firewall, DryRun: opt.DryRun,
		Notice: opt.Notice, Hold: opt.hold,
	})
	if err != nil {
		return nil, err
	}
	return &Runtime{Images: images, Networks: networks, opt: opt}, nil
}

// Close frees what Open and later calls hold open.
func (r *Runtime) Close() { r.Networks.Close() }

// The layout of the two directories:
//
//	root/containers/<id>/container.json   Config
//	root/containers/<id>/config.json      the OCI runtime-spec
//	root/containers/<id>/state.json       State, after the first start
//	root/containers/<id>/log.json         output, in Docker's json-file format
//	root/containers/<id>/{upper,work}     the writable layer
//	root/containers/<id>/rootfs           where the root is mounted, in the container only
//	root/containers/<id>/{hosts,hostname,resolv.conf}
//	root/names/<name>                     the id that owns the name
//	state/containers/<id>/lock            held by the owner while it lives
//	state/containers/<id>/sock            the monitor's socket
func (r *Runtime) containersDir() string         { return filepath.Join(r.opt.Root, "containers") }
func (r *Runtime) containerDir(id string) string { return filepath.Join(r.containersDir(), id) }
func (r *Runtime) namesDir() string              { return filepath.Join(r.opt.Root, "names") }
func (r *Runtime) namePath(name string) string   { return filepath.Join(r.namesDir(), name) }
func (r *Runtime) livesDir() string              { return filepath.Join(r.opt.State, "containers") }
func (r *Runtime) lifeDir(id string) string      { return filepath.Join(r.livesDir(), id) }

const (
	configFile   = "container.json"
	specFile     = "config.json"
	stateFile    = "state.json"
	logFile      = "log.json"
	rootfsDir    = "rootfs"
	socketName   = "sock"
	lifeLockName = "lock"
)
