package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

var made struct {
	sync.Mutex
	binary string // what Build made
	dir    string // for the binary and the image
	image  func() (string, error)
}

func built() string {
	made.Lock()
	defer made.Unlock()
	return made.binary
}

func buildDir() string {
	made.Lock()
	defer made.Unlock()
	return made.dir
}

// Build builds cmd/mini, static, with extra flags of go build such as -cover
// if there are any, into a directory of the machine. [New] uses it from then on.
// When the variable MINI_BINARY names a binary, that one is tested instead.
// Build is for TestMain, which calls clean at the end.
func Build(extra ...string) (clean func() error, err error) {
	dir, err := os.MkdirTemp("", "mini-bin")
	if err != nil {
		return nil, fmt.Errorf("making a directory for mini: %w", err)
	}
	clean = func() error {
		made.Lock()
		defer made.Unlock()
		made.binary, made.dir, made.image = "", "", nil
		return os.RemoveAll(dir)
	}
	binary := filepath.Join(dir, "mini")
	if given := os.Getenv("MINI_BINARY"); given != "" {
		if binary, err = filepath.Abs(given); err != nil {
			return clean, fmt.Errorf("finding MINI_BINARY: %w", err)
		}
	} else if err := compile(binary, extra); err != nil {
		return clean, err
	}
	made.Lock()
	defer made.Unlock()
	made.binary, made.dir = binary, dir
	made.image = sync.OnceValues(func() (string, error) { return makeBusybox(dir) })
	return clean, nil
}

func compile(binary string, extra []string) error {
	args := append([]string{"build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", binary}, extra...)
	cmd := exec.Command("go", append(args, "./cmd/mini")...)
	cmd.Dir = SourceDir()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building cmd/mini: %w\n%s", err, out)
	}
	return nil
}

// SourceDir is the top directory of mini's source: the nearest one above the
// test's working directory that has a go.mod. It is empty when there is none.
func SourceDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	return ""
}

// Busybox returns the path of a root filesystem tarball with busybox in it,
// made on the first call by hack/busybox-image.sh. [Build] has to have run.
func Busybox() (string, error) {
	made.Lock()
	image := made.image
	made.Unlock()
	if image == nil {
		return "", fmt.Errorf("making the busybox image: mini was not built")
	}
	return image()
}

func makeBusybox(dir string) (string, error) {
	out := filepath.Join(dir, "busybox.tar")
	cmd := exec.Command(filepath.Join(SourceDir(), "hack", "busybox-image.sh"), out)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("making the busybox image: %w\n%s", err, text)
	}
	return out, nil
}

// ImportBusybox gives the host the image busybox.
func (h *Host) ImportBusybox() {
	h.t.Helper()
	tarball, err := Busybox()
	if err != nil {
		h.t.Fatal(err)
	}
	h.MustRun("import", tarball, "busybox")
}
