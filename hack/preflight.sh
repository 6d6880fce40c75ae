#!/bin/sh
# Says what this machine lacks for mini, in plain words.
#
#   hack/preflight.sh           what mini needs to run
#   hack/preflight.sh --build   the same, and Go to build it
#
# Exit code: 0 when all is there, 1 when something is missing.
set -u

missing=0

lack() {
	echo "missing: $1" >&2
	echo "         $2" >&2
	missing=1
}

need_command() {
	if ! command -v "$1" >/dev/null 2>&1; then
		lack "the command $1" "Debian, Ubuntu: apt-get install $2"
	fi
}

# kernel_at_least MAJOR MINOR
kernel_at_least() {
	release=$(uname -r)
	major=${release%%.*}
	rest=${release#*.}
	minor=${rest%%[!0-9]*}
	[ "$major" -gt "$1" ] || { [ "$major" -eq "$1" ] && [ "${minor:-0}" -ge "$2" ]; }
}

# has_filesystem NAME: the kernel has it, or has it as a module.
has_filesystem() {
	grep -qw "$1" /proc/filesystems && return
	command -v modprobe >/dev/null 2>&1 && modprobe -q "$1" && grep -qw "$1" /proc/filesystems
}

if [ "$(uname -s)" != Linux ]; then
	lack "Linux" "mini uses Linux namespaces. Start it in a Linux virtual machine."
	exit 1
fi
if ! kernel_at_least 5 14; then
	lack "Linux 5.14 or later" "This is $(uname -r)."
fi
if [ "$(id -u)" -ne 0 ]; then
	lack "root" "mini makes network links and mounts. Start this again with sudo."
fi
if ! grep -q ' - cgroup2\? ' /proc/self/mountinfo; then
	lack "cgroups" "Mount them: mount -t cgroup2 none /sys/fs/cgroup. In a container, start it with --privileged."
fi
if ! has_filesystem overlay; then
	lack "overlay in the kernel" "Load the module: modprobe overlay"
fi
for ns in net mnt pid uts ipc; do
	if [ ! -e "/proc/self/ns/$ns" ]; then
		lack "the $ns namespace in the kernel" "This kernel was built without it."
	fi
done
need_command iptables iptables
need_command ip iproute2
if [ "$(id -u)" -eq 0 ] && command -v iptables >/dev/null 2>&1; then
	# In a network namespace of its own: merely listing a table may create it.
	if ! why=$(unshare --net iptables -w -t nat -S 2>&1 >/dev/null); then
		lack "iptables that work (nat table)" "${why:-iptables failed without a word}"
	fi
fi
if [ "${1:-}" = --build ]; then
	if ! command -v go >/dev/null 2>&1; then
		lack "Go" "Install Go 1.25 or later: https://go.dev/doc/install"
	fi
fi

exit "$missing"
