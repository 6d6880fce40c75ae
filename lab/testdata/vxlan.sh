#!/bin/sh
set -e
# build lab vxlan

# 1. make host host1
#    A network namespace has links, addresses, routes and rules of its own. What it copies from
#    the machine's settings is set, so that a lab is the same everywhere. No address is
#    doubted: nobody else has one.
ip netns add lab-vxlan-host1
ip -n lab-vxlan-host1 link set dev lo alias mini:lab:vxlan:3a1b1f18 up
ip netns exec lab-vxlan-host1 sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0

# 2. make host host2
#    A network namespace has links, addresses, routes and rules of its own. What it copies from
#    the machine's settings is set, so that a lab is the same everywhere. No address is
#    doubted: nobody else has one.
ip netns add lab-vxlan-host2
ip -n lab-vxlan-host2 link set dev lo alias mini:lab:vxlan:3a1b1f18 up
ip netns exec lab-vxlan-host2 sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0

# 3. make node a
#    A network namespace has links, addresses, routes and rules of its own. What it copies from
#    the machine's settings is set, so that a lab is the same everywhere. No address is
#    doubted: nobody else has one.
ip netns add lab-vxlan-a
ip -n lab-vxlan-a link set dev lo alias mini:lab:vxlan:3a1b1f18 up
ip netns exec lab-vxlan-a sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0

# 4. make node b
#    A network namespace has links, addresses, routes and rules of its own. What it copies from
#    the machine's settings is set, so that a lab is the same everywhere. No address is
#    doubted: nobody else has one.
ip netns add lab-vxlan-b
ip -n lab-vxlan-b link set dev lo alias mini:lab:vxlan:3a1b1f18 up
ip netns exec lab-vxlan-b sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0

# 5. make bridge br1 in host1
#    It switches frames between the links that are its ports. It needs no address for that.
ip -n lab-vxlan-host1 link add br1 type bridge
ip -n lab-vxlan-host1 link set dev br1 up

# 6. make bridge br2 in host2
#    It switches frames between the links that are its ports. It needs no address for that.
ip -n lab-vxlan-host2 link add br2 type bridge
ip -n lab-vxlan-host2 link set dev br2 up

# 7. join a and host1 by a cable
#    What goes into one end of a veth pair comes out of the other. The ends may be in different
#    namespaces.
ip -n lab-vxlan-a link add eth0 mtu 1450 type veth peer name veth-a mtu 1450 netns lab-vxlan-host1

# 8. set up eth0 of a
#    An address makes a network of the cable: who has one in the same prefix is reached without
#    a router.
ip -n lab-vxlan-a address add 10.0.0.1/24 dev eth0
ip -n lab-vxlan-a link set dev eth0 up

# 9. plug veth-a of host1 into bridge br1
#    The port of a bridge has no address: what comes in belongs to the bridge.
ip -n lab-vxlan-host1 link set dev veth-a master br1 up

# 10. join b and host2 by a cable
#    What goes into one end of a veth pair comes out of the other. The ends may be in different
#    namespaces.
ip -n lab-vxlan-b link add eth0 mtu 1450 type veth peer name veth-b mtu 1450 netns lab-vxlan-host2

# 11. set up eth0 of b
#    An address makes a network of the cable: who has one in the same prefix is reached without
#    a router.
ip -n lab-vxlan-b address add 10.0.0.2/24 dev eth0
ip -n lab-vxlan-b link set dev eth0 up

# 12. plug veth-b of host2 into bridge br2
#    The port of a bridge has no address: what comes in belongs to the bridge.
ip -n lab-vxlan-host2 link set dev veth-b master br2 up

# 13. join host1 and host2 by a cable
#    What goes into one end of a veth pair comes out of the other. The ends may be in different
#    namespaces.
ip -n lab-vxlan-host1 link add eth0 mtu 1500 type veth peer name eth0 mtu 1500 netns lab-vxlan-host2

# 14. set up eth0 of host1
#    An address makes a network of the cable: who has one in the same prefix is reached without
#    a router.
ip -n lab-vxlan-host1 address add 192.0.2.1/24 dev eth0
ip -n lab-vxlan-host1 link set dev eth0 up

# 15. set up eth0 of host2
#    An address makes a network of the cable: who has one in the same prefix is reached without
#    a router.
ip -n lab-vxlan-host2 address add 192.0.2.2/24 dev eth0
ip -n lab-vxlan-host2 link set dev eth0 up

# 16. wait for the links
#    The kernel finishes links and IPv6 addresses a moment after they are switched on.

# 17. look, without tunnels
#    From host1, host2 by ping: ok. From a, b by ping: timeout.
# ip netns exec lab-vxlan-host1 ping -c 1 -W 1 192.0.2.2
# ip netns exec lab-vxlan-a ping -c 1 -W 1 10.0.0.2

# 18. dig tunnel vxlan42 from host1 to 192.0.2.2
#    A VXLAN link packs whole Ethernet frames into UDP packets to port 4789 of the other end.
#    They are 50 bytes longer, so that there is room for 1450 bytes inside.
ip -n lab-vxlan-host1 link add vxlan42 mtu 1450 type vxlan id 42 local 192.0.2.1 remote 192.0.2.2 dstport 4789
ip -n lab-vxlan-host1 link set dev vxlan42 master br1 up

# 19. dig tunnel vxlan42 from host2 to 192.0.2.1
#    A VXLAN link packs whole Ethernet frames into UDP packets to port 4789 of the other end.
#    They are 50 bytes longer, so that there is room for 1450 bytes inside.
ip -n lab-vxlan-host2 link add vxlan42 mtu 1450 type vxlan id 42 local 192.0.2.2 remote 192.0.2.1 dstport 4789
ip -n lab-vxlan-host2 link set dev vxlan42 master br2 up
