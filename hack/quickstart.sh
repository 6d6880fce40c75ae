#!/bin/bash
# Shows mini at work: builds it, makes an image, runs a web server with a
# published port, fetches its page, and cleans up. It may be run again.
#
#   make quickstart
#   hack/quickstart.sh
#
# Variables:
#   MINI_PRIVATE=1   do it in a network and mount namespace of its own, so that
#                    this machine's links and iptables are not touched
#   MINI_INSTALL=no  do not install missing packages
#   MINI=PATH        use this binary instead of building one
#   PORT=8080        the port to publish
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
port=${PORT:-8080}
name=web
started=no
global=()

# heading TEXT: says what comes next.
heading() { printf '\n== %s\n' "$*"; }

# fail TEXT: says why this cannot go on.
fail() {
	printf 'quickstart: %s\n' "$*" >&2
	exit 1
}

# show COMMAND...: prints the command, then runs it.
show() {
	printf '$ %s\n' "$*"
	"$@"
}

mini() { "$binary" "${global[@]}" "$@"; }

# enter_private starts this script again in namespaces of its own.
enter_private() {
	heading "Private namespaces: this machine's links and iptables stay as they are"
	MINI_PRIVATE=entered exec unshare --net --mount --propagation private "$here/hack/quickstart.sh"
}

# furnish_private gives those namespaces an uplink to an outside world. The
# outside's name lives in the private /run and vanishes with it.
furnish_private() {
	mount -t tmpfs -o mode=755 tmpfs /run
	ip link set lo up
	ip netns add outside
	ip link add uplink0 type veth peer name up0 netns outside
	ip address add 192.0.2.1/24 dev uplink0
	ip link set uplink0 up
	ip -n outside address add 192.0.2.2/24 dev up0
	ip -n outside link set up0 up
	ip route add default via 192.0.2.2
	global=(--root "$work/root")
}

install_missing() {
	local packages=() pair
	for pair in iptables:iptables busybox:busybox-static ip:iproute2 curl:curl; do
		command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
	done
	if [ ${#packages[@]} -eq 0 ]; then
		return
	fi
	if [ "${MINI_INSTALL:-yes}" = no ] || ! command -v apt-get >/dev/null; then
		fail "please install: ${packages[*]}"
	fi
	heading "Installing ${packages[*]}"
	show apt-get -qq update
	show env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "${packages[@]}"
}

build() {
	if [ -n "${MINI:-}" ]; then
		binary=$MINI
		return
	fi
	heading "Building mini, one static binary"
	show make --no-print-directory -C "$here" build
	binary=$here/bin/mini
}

# check_free makes sure that neither the port nor the name is in use.
check_free() {
	local holder
	holder=$(ss -Hltnp "sport = :$port" | head -n 1)
	if [ -n "$holder" ]; then
		fail "port $port is taken: ${holder##* }. Choose another one: PORT=8081 make quickstart"
	fi
}

check_name() {
	if [ -n "$(mini ps -a -q --filter "name=^/?$name\$")" ]; then
		fail "you have a container called $name already. Remove it: $binary rm -f $name"
	fi
}

# host_address prints the first address of this machine that others can reach.
host_address() {
	ip -4 -o address show scope global up |
		awk '$2 !~ /^(mini|br-|docker|veth)/ { sub("/.*", "", $4); print $4; exit }'
}

# fetch URL: waits for the server for at most 5 seconds.
fetch() {
	printf '$ curl %s\n' "$1"
	local try
	for try in $(seq 50); do
		if curl --silent --fail --show-error --max-time 5 "$1" 2>"$work/curl"; then
			return
		fi
		[ "$try" -eq 50 ] || sleep 0.1
	done
	cat "$work/curl" >&2
	fail "no answer from $1"
}

clean_up() {
	local code=$?
	trap - EXIT
	if [ "$started" = yes ]; then
		heading "Cleaning up"
		show mini rm -f "$name" || code=1
		show mini network prune -f || code=1
	fi
	rm -rf "$work"
	if [ "$started" = yes ] && [ "$code" -eq 0 ]; then
		printf '\nEverything is cleaned up.'
		if [ ${#global[@]} -eq 0 ]; then
			printf ' The image busybox stays. Try:\n\n  sudo %s run -it --rm busybox sh\n' "$binary"
		fi
		printf '\n'
	fi
	exit "$code"
}

demonstrate() {
	heading "An image from this machine's own static busybox"
	"$here/hack/busybox-image.sh" "$work/busybox.tar"
	started=yes
	show mini import "$work/busybox.tar" busybox

	heading "A web server in a container, each step explained"
	show mini run --explain -d --name "$name" -p "$port:80" busybox httpd -f -p 80 -h /www

	heading "Its page, through the published port"
	fetch "http://127.0.0.1:$port/"
	local address
	address=$(host_address)
	if [ -n "$address" ]; then
		fetch "http://$address:$port/"
	fi

	heading "What runs"
	show mini ps
}

main() {
	if [ "$(uname -s)" != Linux ] || [ "$(id -u)" -ne 0 ]; then
		"$here/hack/preflight.sh" || exit 1
	fi
	if [ "${MINI_PRIVATE:-}" = 1 ]; then
		install_missing
		enter_private
	fi
	work=$(mktemp -d)
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	if [ "${MINI_PRIVATE:-}" = entered ]; then
		furnish_private
	fi
	install_missing
	if [ -n "${MINI:-}" ]; then
		"$here/hack/preflight.sh" || exit 1
	else
		"$here/hack/preflight.sh" --build || exit 1
	fi
	check_free
	build
	check_name
	demonstrate
}

main
