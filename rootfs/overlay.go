package rootfs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// maxMountData is the length of the longest options that mount(2) takes: one
// page with the final NUL. What is longer is cut off without an error.
const maxMountData = 4096 - 1

// overlayEscaper protects what the kernel's option parser takes for separators.
var overlayEscaper = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `:`, `\:`)

// OverlayOptions gives the data argument of mount(2) for an overlay of the
// directories lower, topmost first, with upper and work for what is written.
// With upper and work empty the overlay is read-only; it then needs two lower
// directories at least.
//
// When the options are longer than the kernel takes the error is
// [ErrOverlayTooLong]; [ShortLowers] is the way around it.
func OverlayOptions(lower []string, upper, work string) (string, error) {
	switch {
	case len(lower) == 0:
		return "", fmt.Errorf("building overlay options: no lower directory")
	case (upper == "") != (work == ""):
		return "", fmt.Errorf("building overlay options: upper and work directory come together")
	case upper == "" && len(lower) < 2:
		return "", fmt.Errorf("building overlay options: one directory alone is not an overlay")
	}
	escaped := make([]string, len(lower))
	for i, dir := range lower {
		escaped[i] = overlayEscaper.Replace(dir)
	}
	data := "lowerdir=" + strings.Join(escaped, ":")
	if upper != "" {
		data += ",upperdir=" + overlayEscaper.Replace(upper) + ",workdir=" + overlayEscaper.Replace(work)
	}
	if strings.IndexByte(data, 0) >= 0 {
		return "", fmt.Errorf("building overlay options: a directory's name holds a NUL byte")
	}
	if len(data) > maxMountData {
		return "", fmt.Errorf("building overlay options of %d layers: %d bytes, mount takes %d: %w",
			len(lower), len(data), maxMountData, ErrOverlayTooLong)
	}
	return data, nil
}

// ShortLowers opens the directories and names them /proc/self/fd/N, which is
// short enough for more than 200 of them. Keep the files open until the overlay
// is mounted, by this process, in the mount namespace in which they were opened:
// the kernel refuses to stack directories of another one (EINVAL).
func ShortLowers(lower []string) (short []string, files []*os.File, err error) {
	for _, dir := range lower {
		f, err := os.Open(dir)
		if err != nil {
			for _, f := range files {
				_ = f.Close() // opened for reading: nothing can be lost
			}
			return nil, nil, fmt.Errorf("opening layer: %w", err)
		}
		files = append(files, f)
		short = append(short, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())))
	}
	return short, files, nil
}
