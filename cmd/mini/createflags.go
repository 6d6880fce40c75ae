package main

// createFlags are the flags of run and create.
func createFlags() flagSet {
	return flagSet{
		listFlag("add-host", "", "Add a custom host-to-IP mapping (host:ip)"),
		stringFlag("cidfile", "", "Write the container ID to the file"),
		stringFlag("cpus", "", "Number of CPUs, such as 1.5").called("decimal"),
		listFlag("dns", "", "Set custom DNS servers"),
		listFlag("dns-option", "", "Set DNS options").or("dns-opt"),
		listFlag("dns-search", "", "Set custom DNS search domains"),
		stringFlag("domainname", "", "Container NIS domain name, also the domain of its host name in /etc/hosts"),
		stringFlag("entrypoint", "", "Overwrite the default ENTRYPOINT of the image"),
		listFlag("env", "e", "Set environment variables"),
		listFlag("env-file", "", "Read in a file of environment variables"),
		listFlag("expose", "", "Expose a port or a range of ports, as PORT[-END][/proto]: -P publishes them"),
		stringFlag("hostname", "h", "Container host name"),
		boolFlag("init", "", "Run an init inside the container that forwards signals and reaps processes"),
		boolFlag("interactive", "i", "Keep STDIN open even if not attached"),
		stringFlag("ip", "", "IPv4 address (such as 172.30.100.104)"),
		stringFlag("ip6", "", "IPv6 address (such as fd00:1::33)"),
		listFlag("label", "l", "Set meta data on a container"),
		stringFlag("mac-address", "", "Container MAC address (such as 92:d0:c6:0a:29:33)"),
		stringFlag("memory", "m", "Memory limit, with b, k, m or g behind the number").called("bytes"),
		listFlag("mount", "", "Attach a filesystem mount (type=bind|volume|tmpfs,source=…,target=…[,readonly])").called("mount"),
		stringFlag("name", "", "Assign a name to the container"),
		listFlag("network", "", "Connect a container to a network: bridge, host, none, container:NAME, a network's name, or name=…[,ip=…][,ip6=…][,alias=…][,mac-address=…][,gw-priority=…]; several may be given").called("network").or("net"),
		listFlag("network-alias", "", "Add a further name for the container on its network, for lookups").or("net-alias"),
		stringFlag("pids-limit", "", "Limit the number of processes (-1 for no limit)").called("int"),
		listFlag("publish", "p", "Publish a container's port(s) to the host, as [ip:][host[-end]:]container[-end][/proto] or published=…,target=…[,protocol=…][,host_ip=…]"),
		boolFlag("publish-all", "P", "Publish all exposed ports to random ports"),
		boolFlag("read-only", "", "Mount the container's root filesystem as read only"),
		boolFlag("rm", "", "Automatically remove the container and its anonymous volumes when it exits"),
		stringFlag("rootfs", "", "Use this directory as the root filesystem instead of an image; the command comes first then").called("dir"),
		stringFlag("stop-signal", "", "Signal to stop the container"),
		intFlag("stop-timeout", "", "Timeout (in seconds) to stop a container"),
		listFlag("tmpfs", "", "Mount a tmpfs directory, as DIR[:OPTIONS]"),
		boolFlag("tty", "t", "Allocate a pseudo-TTY"),
		stringFlag("user", "u", "Username or UID (format: <name|uid>[:<group|gid>])"),
		listFlag("volume", "v", "Bind mount a directory or a volume, as [SRC:]DEST[:OPTIONS]"),
		stringFlag("workdir", "w", "Working directory inside the container"),
	}
}

func runFlags() flagSet {
	return append(createFlags(),
		boolFlag("detach", "d", "Run container in background and print container ID"),
		detachKeysFlag(),
		boolFlag("dry-run", "", "Print the networking as a shell script for an empty host, and build nothing"),
		explainFlag(),
		boolFlag("sig-proxy", "", "Proxy received signals to the process").byDefault("true"),
	)
}
