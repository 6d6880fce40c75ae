package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/moby/sys/user"
)

// maxUserFile bounds what is read of a container's passwd and group: they are
// the image's, and may be endless.
const maxUserFile = 16 << 20

// User is who a container's process runs as.
type User struct {
	UID, GID int
	Groups   []int  // the primary group first, then the others, each once
	Name     string // empty if the user is not in passwd
	Home     string // "/" if the user is not in passwd
}

// LookupUser finds the user that spec names: "", "uid", "name", "uid:gid",
// "name:group" and so on, as in docker run --user; "" means uid 0. passwd and
// group are the container's files, nil if it has none. extraGroups are names
// or numbers, as in --group-add.
//
// The primary group is among Groups: without it a process could reach files by
// leaving the group they are closed to (CVE-2022-36109).
func LookupUser(passwd, group io.Reader, spec string, extraGroups []string) (User, error) {
	users, err := readBounded(passwd, "passwd")
	if err != nil {
		return User{}, err
	}
	groups, err := readBounded(group, "group")
	if err != nil {
		return User{}, err
	}
	eu, err := user.GetExecUser(spec, &user.ExecUser{Home: "/"}, reader(users), reader(groups))
	if err != nil {
		return User{}, err
	}
	extra, err := user.GetAdditionalGroups(extraGroups, reader(groups))
	if err != nil {
		return User{}, err
	}
	u := User{UID: eu.Uid, GID: eu.Gid, Home: eu.Home, Name: userName(users, eu.Uid)}
	for _, gid := range slices.Concat([]int{eu.Gid}, eu.Sgids, extra) {
		if !slices.Contains(u.Groups, gid) {
			u.Groups = append(u.Groups, gid)
		}
	}
	return u, nil
}

// userName gives the first name of uid, or "". A file that cannot be parsed was
// complained about before.
func userName(passwd []byte, uid int) string {
	found, err := user.ParsePasswdFilter(bytes.NewReader(passwd), func(u user.User) bool { return u.Uid == uid })
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0].Name
}

// reader keeps nil apart from an empty file, as the lookup does.
func reader(data []byte) io.Reader {
	if data == nil {
		return nil
	}
	return bytes.NewReader(data)
}

func readBounded(r io.Reader, what string) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(r, maxUserFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the container's %s file: %w", what, err)
	}
	if len(data) > maxUserFile {
		return nil, errors.New("the container's " + what + " file is too large")
	}
	return data, nil
}
