package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/minirt/mini/rootfs"
)

func importCommand() *command {
	return &command{
		name: "import", args: "FILE|- [REPOSITORY[:TAG]]", min: 1, max: 2, run: runImport,
		short: "Import the contents from a tarball to create a filesystem image",
		long:  "The archive may be compressed with gzip or bzip2. \"-\" reads standard input. URLs are not supported.",
		example: "mini import rootfs.tar.gz debian:stable\n" +
			"tar -C rootfs -c . | mini import -c 'CMD [\"/bin/sh\"]' - mine",
		flags: func() flagSet {
			return flagSet{
				listFlag("change", "c", "Apply Dockerfile instruction to the created image"),
				stringFlag("message", "m", "Set commit message for imported image"),
			}
		},
	}
}

func runImport(c *call) error {
	source := c.arg(0)
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		return fmt.Errorf("importing from a URL is not supported: fetch it and pipe it, as in curl -fsSL %s | mini import - …", source)
	}
	opts := rootfs.ImportOptions{Ref: c.arg(1), Changes: c.list("change"), Message: c.str("message")}
	var in io.Reader = c.in
	if source != "-" {
		f, err := os.Open(source)
		if err != nil {
			return fmt.Errorf("opening the archive: %w", err)
		}
		defer f.Close()
		in = f
	} else if isTerminal(c.in) {
		return errors.New("the archive is to come from standard input, which is a terminal")
	}
	rt, err := c.open()
	if err != nil {
		return err
	}
	image, err := rt.Images.Import(c.ctx, in, opts)
	if err != nil {
		return err
	}
	c.println(imageID(image.ID))
	return nil
}
