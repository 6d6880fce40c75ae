#!/bin/sh
set -e
# build lab docker0

# 1. make host machine
#    A network namespace has links, addresses, routes and rules of its own. What it copies from
#    the machine's settings is set, so that a lab is the same everywhere. No address is
#    doubted: nobody else has one.
ip netns add lab-docker0-machine
ip -n lab-docker0-machine link set dev lo alias mini:lab:docker0:3a1b1f18 up
ip netns exec lab-docker0-machine sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0

# 2. make host world
#    A network namespace has links, addresses, routes and rules of its own. What it copies from
#    the machine's settings is set, so that a lab is the same everywhere. No address is
#    doubted: nobody else has one.
ip netns add lab-docker0-world
ip -n lab-docker0-world link set dev lo alias mini:lab:docker0:3a1b1f18 up
ip netns exec lab-docker0-world sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0

# 3. make node web
#    A network namespace has links, addresses, routes and rules of its own. What it copies from
#    the machine's settings is set, so that a lab is the same everywhere. No address is
#    doubted: nobody else has one.
ip netns add lab-docker0-web
ip -n lab-docker0-web link set dev lo alias mini:lab:docker0:3a1b1f18 up
ip netns exec lab-docker0-web sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0

# 4. make node client
#    A network namespace has links, addresses, routes and rules of its own. What it copies from
#    the machine's settings is set, so that a lab is the same everywhere. No address is
#    doubted: nobody else has one.
ip netns add lab-docker0-client
ip -n lab-docker0-client link set dev lo alias mini:lab:docker0:3a1b1f18 up
ip netns exec lab-docker0-client sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0

# 5. make bridge docker0 in machine
#    It switches frames between the links that are its ports. With an address it is machine's
#    own link to them, too.
ip -n lab-docker0-machine link add docker0 type bridge
ip -n lab-docker0-machine address add 172.17.0.1/16 dev docker0
ip -n lab-docker0-machine link set dev docker0 up

# 6. join web and machine by a cable
#    What goes into one end of a veth pair comes out of the other. The ends may be in different
#    namespaces.
ip -n lab-docker0-web link add eth0 mtu 1500 type veth peer name veth-web mtu 1500 netns lab-docker0-machine

# 7. set up eth0 of web
#    An address makes a network of the cable: who has one in the same prefix is reached without
#    a router.
ip -n lab-docker0-web address add 172.17.0.2/16 dev eth0
ip -n lab-docker0-web link set dev eth0 up

# 8. plug veth-web of machine into bridge docker0
#    The port of a bridge has no address: what comes in belongs to the bridge.
ip -n lab-docker0-machine link set dev veth-web master docker0 up

# 9. join client and machine by a cable
#    What goes into one end of a veth pair comes out of the other. The ends may be in different
#    namespaces.
ip -n lab-docker0-client link add eth0 mtu 1500 type veth peer name veth-client mtu 1500 netns lab-docker0-machine

# 10. set up eth0 of client
#    An address makes a network of the cable: who has one in the same prefix is reached without
#    a router.
ip -n lab-docker0-client address add 172.17.0.3/16 dev eth0
ip -n lab-docker0-client link set dev eth0 up

# 11. plug veth-client of machine into bridge docker0
#    The port of a bridge has no address: what comes in belongs to the bridge.
ip -n lab-docker0-machine link set dev veth-client master docker0 up

# 12. join machine and world by a cable
#    What goes into one end of a veth pair comes out of the other. The ends may be in different
#    namespaces.
ip -n lab-docker0-machine link add uplink mtu 1500 type veth peer name eth0 mtu 1500 netns lab-docker0-world

# 13. set up uplink of machine
#    An address makes a network of the cable: who has one in the same prefix is reached without
#    a router.
ip -n lab-docker0-machine address add 192.0.2.1/24 dev uplink
ip -n lab-docker0-machine link set dev uplink up

# 14. set up eth0 of world
#    An address makes a network of the cable: who has one in the same prefix is reached without
#    a router.
ip -n lab-docker0-world address add 192.0.2.2/24 dev eth0
ip -n lab-docker0-world link set dev eth0 up

# 15. wait for the links
#    The kernel finishes links and IPv6 addresses a moment after they are switched on.

# 16. route default of web
#    Whatever is on none of its own networks goes there.
ip -n lab-docker0-web route add default via 172.17.0.1

# 17. route default of client
#    Whatever is on none of its own networks goes there.
ip -n lab-docker0-client route add default via 172.17.0.1

# 18. set net.ipv4.ip_forward of machine to 1
#    A namespace drops packets that are not for itself, unless it forwards them.
ip netns exec lab-docker0-machine sysctl -q -w net.ipv4.ip_forward=1

# 19. look, without nat
#    From client, world:80 by http: timeout. From world, 192.0.2.1:8080 by http: refused.
# ip netns exec lab-docker0-client curl -m 1 http://192.0.2.2:80
# ip netns exec lab-docker0-world curl -m 1 http://192.0.2.1:8080

# 20. let machine hide 172.17.0.0/16 behind its own address
#    MASQUERADE writes the address of the outgoing link into what leaves, as the sender.
#    Answers come back to it, and are given the old address again.
ip netns exec lab-docker0-machine iptables -w -t nat -A POSTROUTING -s 172.17.0.0/16 '!' -o docker0 -j MASQUERADE

# 21. make chain DOCKER in machine
#    One chain has all published ports. The hooks jump there for packets to any address of the
#    namespace's own.
ip netns exec lab-docker0-machine iptables -w -t nat -N DOCKER
ip netns exec lab-docker0-machine iptables -w -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
ip netns exec lab-docker0-machine iptables -w -t nat -A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER

# 22. publish 172.17.0.2:80 at 192.0.2.1:8080 of machine
#    DNAT writes another destination into packets, before they are routed. PREROUTING sees
#    those from outside, OUTPUT those of the namespace itself.
ip netns exec lab-docker0-machine iptables -w -t nat -A DOCKER -d 192.0.2.1/32 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
