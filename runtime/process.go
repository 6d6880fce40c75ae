package runtime

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/minirt/mini/runtime/caps"
	"github.com/minirt/mini/runtime/nsinit"
	"github.com/minirt/mini/runtime/seccomp"
)

// processPlan is what the last calls before execve are made from. It serves
// the init and the processes of exec alike.
type processPlan struct {
	process *specs.Process
	stdio   [3]int // descriptors of the monitor, -1 for nothing; not with a terminal
	init    bool   // it is the init, not an exec
	// readonlyRoot makes / read-only, after everything was mounted.
	readonlyRoot bool
	// reaper keeps a small init as parent of the command (--init).
	reaper bool
}

// masterFD is where the child keeps the master of its terminal until the
// monitor has taken a copy. It is above what a monitor has open then.
const masterFD = 200

// openTerminal allocates a terminal in the container's own devpts, before a
// pause at which [takeTerminal] gets the master. The child opens it, not the
// monitor: what stands at that path is the image's to say.
func openTerminal(p *nsinit.Program) {
	how := openHow(unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0,
		unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	p.CallTo(regTTY, "open /dev/pts/ptmx", nil, unix.SYS_OPENAT2, atFDCWD, "/dev/pts/ptmx", how, len(how))
	p.Call("keep the terminal", nil, unix.SYS_DUP3, regTTY, masterFD, unix.O_CLOEXEC)
}

// hide makes the child's files in /proc the host root's. Until execve it is a
// copy of the monitor, and processes of the container can see it (CVE-2016-9962).
func hide(p *nsinit.Program) {
	p.Call("hide from the container", nil, unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// record adds the calls that turn the child into the user's program.
func (pp *processPlan) record(p *nsinit.Program) error {
	p.Call("start a new session", nil, unix.SYS_SETSID)
	if pp.process.Terminal {
		pp.useTerminal(p)
		p.CloseOthers()
	}
	if pp.init {
		makePlace(p, pp.process.Cwd, true) // as Docker does
		p.Call("close the working directory", nil, unix.SYS_CLOSE, regPlace)
	}
	if pp.readonlyRoot {
		setReadonly(p, "/")
	}
	for _, l := range pp.process.Rlimits {
		if err := setRlimit(p, l); err != nil {
			return err
		}
	}
	p.Call("set the umask", nil, unix.SYS_UMASK, 0o022)
	// A session keyring of its own, so that keys of the host cannot be read.
	p.Call("join a new session keyring", nsinit.Tolerate{unix.ENOSYS, unix.EPERM, unix.EDQUOT},
		unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, nil)
	if err := pp.dropPrivileges(p); err != nil {
		return err
	}
	if pp.init {
		dieWithMonitor(p) // a change of user forgets it
	}
	// After the change of user: it must be a directory that the user may enter,
	// and no way out of the root (CVE-2024-21626).
	openPlaceAs(p, "chdir to "+pp.process.Cwd, path.Clean("/"+pp.process.Cwd), unix.O_PATH|unix.O_DIRECTORY)
	p.Call("chdir to "+pp.process.Cwd, nil, unix.SYS_FCHDIR, regPlace)
	if pp.reaper {
		p.Reaper()
	}
	p.Exec(execPaths(pp.process), pp.process.Args, pp.process.Env)
	return p.Err()
}

func dieWithMonitor(p *nsinit.Program) {
	p.Call("ask to die with the monitor", nil, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL), 0, 0, 0)
}

// usePipes makes the monitor's pipes the standard streams, and closes all
// else. It comes before record, for a process without a terminal.
func (pp *processPlan) usePipes(p *nsinit.Program) {
	uid := int(pp.process.User.UID)
	for i, fd := range pp.stdio {
		if fd < 0 {
			// The container's own /dev/null: the host's would be the user's to change.
			openPlace(p, "/dev/null", unix.O_RDWR|unix.O_NONBLOCK)
			p.Call("open standard stream from /dev/null", nil, unix.SYS_DUP3, regPlace, i, 0)
			continue
		}
		p.Call(fmt.Sprintf("open standard stream %d", i), nil, unix.SYS_DUP3, fd, i, 0)
		// The user may open /dev/stdout anew, which asks for rights to the pipe.
		p.Call(fmt.Sprintf("give standard stream %d to the user", i), nil, unix.SYS_FCHOWN, i, uid, -1)
	}
	p.CloseOthers()
}

// useTerminal makes the slave of the terminal the standard streams. It is
// opened through the master, so no path is trusted.
func (pp *processPlan) useTerminal(p *nsinit.Program) {
	p.Call("unlock the terminal", nil, unix.SYS_IOCTL, masterFD, unix.TIOCSPTLCK, make([]byte, 4))
	p.CallTo(regTTY, "open the terminal", nil, unix.SYS_IOCTL, masterFD, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY)
	for i := range pp.stdio {
		p.Call(fmt.Sprintf("open standard stream %d", i), nil, unix.SYS_DUP3, regTTY, i, 0)
	}
	p.Call("make the terminal the controlling one", nil, unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	p.Call("give the terminal to the user", nil, unix.SYS_FCHOWN, 0, int(pp.process.User.UID), -1)
	if !pp.init {
		return
	}
	openPlaceFile(p, "/dev", "console")
	openPlace(p, "/dev/console", unix.O_PATH)
	p.CallTo(regMount, "clone the terminal's mount", nil, unix.SYS_OPEN_TREE, 0, "",
		unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	p.Call("bind the terminal on /dev/console", nil, unix.SYS_MOVE_MOUNT, regMount, "", regPlace, "",
		unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// dropPrivileges records the change to the user and capabilities of the spec.
func (pp *processPlan) dropPrivileges(p *nsinit.Program) error {
	if pp.process.NoNewPrivileges {
		p.Call("set no_new_privs", nil, unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	if err := loadSeccomp(p); err != nil {
		return err
	}
	have := pp.process.Capabilities
	if have == nil {
		have = &specs.LinuxCapabilities{}
	}
	last, err := caps.LastCap()
	if err != nil {
		return err
	}
	bounding := caps.SetOf(have.Bounding)
	for c := range last + 1 {
		if !bounding.Has(c) {
			p.Call(fmt.Sprintf("drop capability %d from the bounding set", c), nil,
				unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		}
	}
	u := pp.process.User
	groups := make([]byte, 0, 4*len(u.AdditionalGids))
	for _, g := range u.AdditionalGids {
		groups = binary.NativeEndian.AppendUint32(groups, g)
	}
	p.Call("set supplementary groups", nil, unix.SYS_SETGROUPS, len(u.AdditionalGids), groups)
	p.Call(fmt.Sprintf("set gid %d", u.GID), nil, unix.SYS_SETRESGID, int(u.GID), int(u.GID), int(u.GID))
	p.Call(fmt.Sprintf("set uid %d", u.UID), nil, unix.SYS_SETRESUID, int(u.UID), int(u.UID), int(u.UID))
	if u.UID != 0 {
		// setresuid(2) took all away but what was inheritable.
		have = &specs.LinuxCapabilities{}
	}
	return setCapabilities(p, have)
}

// setCapabilities records capset(2), version 3: two 32-bit halves of each set.
func setCapabilities(p *nsinit.Program, have *specs.LinuxCapabilities) error {
	own, err := caps.Available()
	if err != nil {
		return err
	}
	const version3 = 0x20080522
	header := binary.NativeEndian.AppendUint32(nil, version3)
	header = binary.NativeEndian.AppendUint32(header, 0) // this process
	effective, permitted := caps.SetOf(have.Effective)&own, caps.SetOf(have.Permitted)&own
	var data []byte
	for shift := 0; shift <= 32; shift += 32 {
		for _, set := range []caps.Set{effective, permitted, 0} { // nothing inheritable: CVE-2022-24769
			data = binary.NativeEndian.AppendUint32(data, uint32(set>>shift))
		}
	}
	p.Call("set capabilities", nil, unix.SYS_CAPSET, header, data)
	return nil
}

// loadSeccomp records the loading of the default filter. It comes before the
// capabilities go, since without no_new_privs it needs CAP_SYS_ADMIN.
func loadSeccomp(p *nsinit.Program) error {
	filter, err := seccomp.Default()
	if err != nil {
		return err
	}
	code := make([]byte, 0, 8*len(filter))
	for _, ins := range filter {
		code = binary.NativeEndian.AppendUint16(code, ins.Code)
		code = append(code, ins.Jt, ins.Jf)
		code = binary.NativeEndian.AppendUint32(code, ins.K)
	}
	// struct sock_fprog: a length, padding, a pointer.
	prog := binary.NativeEndian.AppendUint64(nil, uint64(len(filter)))
	prog = binary.NativeEndian.AppendUint64(prog, uint64(p.Bytes(code)))
	p.Call("load the seccomp filter", nil, unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, seccomp.DefaultFlags, prog)
	return nil
}

// rlimits by their names in the OCI runtime-spec.
var rlimits = map[string]int{
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU,
	"RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
	"RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_STACK": unix.RLIMIT_STACK,
}

func setRlimit(p *nsinit.Program, l specs.POSIXRlimit) error {
	resource, ok := rlimits[l.Type]
	if !ok {
		return errorf(ErrInvalid, "unknown resource limit %q", l.Type)
	}
	value := binary.NativeEndian.AppendUint64(nil, l.Soft)
	value = binary.NativeEndian.AppendUint64(value, l.Hard)
	p.Call(fmt.Sprintf("set %s to %d:%d", l.Type, l.Soft, l.Hard), nil, unix.SYS_PRLIMIT64, 0, resource, value, nil)
	return nil
}

// execPaths gives the files to try, in order, as execvp(3) does with PATH.
func execPaths(process *specs.Process) []string {
	name := process.Args[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	search := defaultPath
	for _, kv := range process.Env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			search = v
		}
	}
	var paths []string
	for _, dir := range strings.Split(search, ":") {
		paths = append(paths, path.Join(orDefault(dir, "."), name))
	}
	return paths
}
