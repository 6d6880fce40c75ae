# Connects the network namespace of a process, by hand.
#
#   sh -eu hand.sh bridge|veth PID PORT...
#
# Published ports, the way out, and 127.0.0.1 work as with an engine's bridge.
kind=$1 pid=$2
shift 2

# unshare(1) needs a moment to make the namespace.
tries=0
while [ "$(readlink "/proc/$pid/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 1000 ]
	sleep 0.005
done

ip link add veth0 type veth peer name eth0 netns "$pid"
link=veth0
if [ "$kind" = bridge ]; then
	link=br0
	ip link add br0 type bridge
	ip link set br0 up
	ip link set veth0 master br0
fi
ip address add 172.30.0.1/24 dev "$link"
ip link set veth0 up

inside() { nsenter --net="/proc/$pid/ns/net" "$@"; }
inside ip link set lo up
inside ip address add 172.30.0.2/24 dev eth0
inside ip link set eth0 up
inside ip route add default via 172.30.0.1

echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >"/proc/sys/net/ipv4/conf/$link/route_localnet"
iptables -t nat -A POSTROUTING -s 172.30.0.0/24 ! -o "$link" -j MASQUERADE
iptables -t nat -A POSTROUTING -s 127.0.0.0/8 -o "$link" -j MASQUERADE
for port; do
	for chain in PREROUTING OUTPUT; do
		iptables -t nat -A "$chain" -m addrtype --dst-type LOCAL -p tcp --dport "$port" -j DNAT --to-destination "172.30.0.2:$port"
	done
done
