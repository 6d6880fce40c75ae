package devices

import (
	"errors"
	"fmt"
	"math"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Rules returns Docker's default rules: deny everything, then allow mknod of
// any node and the use of the devices that every container has. The slice is
// the caller's.
func Rules() []specs.LinuxDeviceCgroup {
	use := func(major, minor int64) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Minor: &minor, Access: "rwm"}
	}
	var ptsMajor int64 = 136
	return []specs.LinuxDeviceCgroup{
		{Access: "rwm"},
		{Allow: true, Type: "c", Access: "m"},
		{Allow: true, Type: "b", Access: "m"},
		use(1, 3), // null
		use(1, 5), // zero
		use(1, 7), // full
		use(1, 8), // random
		use(1, 9), // urandom
		use(5, 0), // tty
		use(5, 1), // console
		use(5, 2), // ptmx
		{Allow: true, Type: "c", Major: &ptsMajor, Access: "rwm"}, // pts/*
	}
}

// wildcard stands for any device type or number.
const wildcard = -1

// rule is a checked rule, in the numbers that the program compares.
type rule struct {
	allow        bool
	kind         int32 // BPF_DEVCG_DEV_*, or wildcard
	major, minor int32 // or wildcard
	access       int32 // BPF_DEVCG_ACC_* bits, at least one
}

const allAccess = unix.BPF_DEVCG_ACC_MKNOD | unix.BPF_DEVCG_ACC_READ | unix.BPF_DEVCG_ACC_WRITE

func parse(in *specs.LinuxDeviceCgroup) (rule, error) {
	out := rule{allow: in.Allow}
	var err error
	switch in.Type {
	case "", "a":
		out.kind = wildcard
	case "b":
		out.kind = unix.BPF_DEVCG_DEV_BLOCK
	case "c", "u":
		out.kind = unix.BPF_DEVCG_DEV_CHAR
	default:
		return rule{}, fmt.Errorf("unknown device type %q", in.Type)
	}
	if out.major, err = number(in.Major); err != nil {
		return rule{}, fmt.Errorf("major %w", err)
	}
	if out.minor, err = number(in.Minor); err != nil {
		return rule{}, fmt.Errorf("minor %w", err)
	}
	if out.access, err = access(in.Access); err != nil {
		return rule{}, err
	}
	return out, nil
}

// number checks a device number. Absent and -1 mean any number, as in runc.
func number(n *int64) (int32, error) {
	if n == nil || *n == wildcard {
		return wildcard, nil
	}
	if *n < 0 || *n > math.MaxInt32 {
		return 0, fmt.Errorf("number %d is out of range", *n)
	}
	return int32(*n), nil
}

func access(s string) (int32, error) {
	var bits int32
	for _, c := range s {
		switch c {
		case 'r':
			bits |= unix.BPF_DEVCG_ACC_READ
		case 'w':
			bits |= unix.BPF_DEVCG_ACC_WRITE
		case 'm':
			bits |= unix.BPF_DEVCG_ACC_MKNOD
		default:
			return 0, fmt.Errorf("unknown access %q", s)
		}
	}
	if bits == 0 {
		return 0, errors.New("no access given: at least one of r, w and m")
	}
	return bits, nil
}
