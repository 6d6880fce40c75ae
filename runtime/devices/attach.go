package devices

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Attach puts the rules on the version 2 cgroup that cgroupDir is an open
// directory of, for the processes in it now and later. They stay until the
// cgroup is removed. They add to programs that are there already: all must
// grant. It must be called before the cgroup has members that are not trusted.
//
// It needs CAP_SYS_ADMIN, or CAP_BPF with CAP_NET_ADMIN. It fails with EPERM
// without them, with EBADF for a directory that is no version 2 cgroup, and
// with EINVAL on a kernel without CONFIG_CGROUP_BPF. See bpf(2).
func Attach(cgroupDir *os.File, rules []specs.LinuxDeviceCgroup) error {
	prog, err := program(rules)
	if err != nil {
		return err
	}
	fd, err := load(prog)
	if err != nil {
		return err
	}
	// The cgroup holds the program from here on.
	return errors.Join(attach(cgroupDir, fd), closeProgram(fd))
}

// loadAttr is the part of union bpf_attr that BPF_PROG_LOAD reads here.
type loadAttr struct {
	progType uint32
	insnCnt  uint32
	insns    unsafe.Pointer
	license  unsafe.Pointer
	logLevel uint32
	logSize  uint32
	logBuf   unsafe.Pointer
	version  uint32
	flags    uint32
	name     [unix.BPF_OBJ_NAME_LEN]byte
}

// load returns a descriptor of the verified program.
func load(prog []instruction) (int, error) {
	license := [...]byte{0} // the program calls no helper that asks for the GPL
	attr := loadAttr{
		progType: unix.BPF_PROG_TYPE_CGROUP_DEVICE,
		insnCnt:  uint32(len(prog)),
		insns:    unsafe.Pointer(&prog[0]),
		license:  unsafe.Pointer(&license[0]),
		name:     [unix.BPF_OBJ_NAME_LEN]byte{'m', 'i', 'n', 'i', '_', 'd', 'e', 'v', 'i', 'c', 'e', 's'},
	}
	fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	goruntime.KeepAlive(prog)
	if err != nil {
		return -1, fmt.Errorf("loading device program of %d instructions: %w", len(prog), err)
	}
	return fd, nil
}

// attachAttr is the part of union bpf_attr that BPF_PROG_ATTACH reads here.
type attachAttr struct {
	targetFd    uint32
	attachBPFFd uint32
	attachType  uint32
	attachFlags uint32
}

func attach(cgroupDir *os.File, program int) error {
	attr := attachAttr{
		targetFd:    uint32(cgroupDir.Fd()),
		attachBPFFd: uint32(program),
		attachType:  unix.BPF_CGROUP_DEVICE,
		attachFlags: unix.BPF_F_ALLOW_MULTI,
	}
	_, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	goruntime.KeepAlive(cgroupDir)
	if err != nil {
		return fmt.Errorf("attaching device program to %s: %w", cgroupDir.Name(), err)
	}
	return nil
}

func closeProgram(fd int) error {
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("closing device program: %w", err)
	}
	return nil
}

// bpf repeats the call while the verifier was interrupted: Go's own preemption
// signals make BPF_PROG_LOAD return EAGAIN (linux commit c3494801cd17, "bpf:
// check pending signals while verifying programs").
func bpf(cmd int, attr unsafe.Pointer, size uintptr) (int, error) {
	const attempts = 32
	for i := 1; ; i++ {
		fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(attr), size)
		switch {
		case errno == 0:
			return int(fd), nil
		case errno == unix.EAGAIN && i < attempts, errno == unix.EINTR && i < attempts:
			continue
		}
		return -1, errno
	}
}
