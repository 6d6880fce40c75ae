package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// DirSize gives the bytes in the regular files below dir, a file with several
// names counted once. What vanishes meanwhile does not count, and no link leads
// out of dir: somebody may be at work there.
func DirSize(dir string) (bytes int64, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, fmt.Errorf("opening %s: %w", dir, err)
	}
	defer root.Close()
	seen := map[uint64]bool{}
	err = fs.WalkDir(root.FS(), ".", func(_ string, entry fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		bytes += info.Size()
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("adding up the files of %s: %w", dir, err)
	}
	return bytes, nil
}
