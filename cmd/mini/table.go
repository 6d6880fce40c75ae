package main

import "slices"

// commands gives all commands, in the order of the help.
func commands() []*command {
	return slices.Concat(
		containerCommands(),
		[]*command{
			psCommand("ps"),
			imagesCommand("images"), rmiCommand("rmi"), importCommand(), tagCommand(), inspectCommand(),
			infoCommand(), versionCommand(), doctorCommand(), completionCommand(), helpCommand(),
			containerGroup(), imageGroup(), labGroup(), networkGroup(), volumeGroup(),
		})
}

// containerCommands are those that exist with and without the word container.
func containerCommands() []*command {
	return []*command{
		runCommand(), createCommand(), startCommand(), execCommand(), attachCommand(), logsCommand(), portCommand(),
		topCommand(), stopCommand(), killCommand(), restartCommand(), waitCommand(), rmCommand(), renameCommand(),
	}
}

func containerGroup() *command {
	return &command{
		name: "container", short: "Manage containers", example: "mini container ls -a",
		subs: func() []*command {
			return append(containerCommands(), psCommand("ls", "ps", "list"),
				containerInspectCommand())
		},
	}
}

func imageGroup() *command {
	return &command{
		name: "image", short: "Manage images", example: "mini image ls",
		subs: func() []*command {
			return []*command{
				importCommand(),
				inspectOne("image", "IMAGE [IMAGE...]", "Display detailed information on one or more images", "mini image inspect busybox"),
				imagesCommand("ls", "list"), rmiCommand("rm", "remove"), tagCommand(),
			}
		},
	}
}

func helpCommand() *command {
	return &command{
		name: "help", args: "[COMMAND...]", max: -1, short: "Help about a command", example: "mini help network create",
		run: func(c *call) error {
			if c.flags.NArg() == 0 {
				return printMainHelp(c.out)
			}
			cmd, path, rest, err := findCommand(c.args())
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return unknownCommand(path, rest[0])
			}
			return printHelp(c.out, path, cmd)
		},
	}
}
