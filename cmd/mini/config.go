package main

import (
	"errors"
	"fmt"
	"math"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"github.com/minirt/mini/runtime"
)

// values are the flags of a command; *cli.Context has them.
type values interface {
	Bool(string) bool
	String(string) string
	StringSlice(string) []string
	Int(string) int
	IsSet(string) bool
}

// surroundings are what a configuration takes from outside its flags.
type surroundings struct {
	lookupEnv func(string) (string, bool)
	cpus      int
}

// buildConfig makes a container's configuration of the flags and arguments of
// run or create. Warnings are Docker's.
func buildConfig(v values, args []string, out surroundings) (cfg runtime.Config, warnings []string, err error) {
	cfg = runtime.Config{
		Name: v.String("name"), WorkingDir: v.String("workdir"), User: v.String("user"),
		Hostname: v.String("hostname"), Domainname: v.String("domainname"), Tty: v.Bool("tty"), OpenStdin: v.Bool("interactive"),
		AutoRemove: v.Bool("rm"), Init: v.Bool("init"), ReadOnly: v.Bool("read-only"),
		StopSignal: v.String("stop-signal"), ExtraHosts: v.StringSlice("add-host"),
		Rootfs: v.String("rootfs"),
	}
	if err := setCommand(&cfg, v, args); err != nil {
		return cfg, nil, err
	}
	if v.IsSet("stop-timeout") {
		seconds := v.Int("stop-timeout")
		cfg.StopTimeout = &seconds
	}
	if cfg.Labels, err = parseLabels(v.StringSlice("label")); err != nil {
		return cfg, nil, err
	}
	if cfg.Env, err = parseEnv(v.StringSlice("env-file"), v.StringSlice("env"), out.lookupEnv); err != nil {
		return cfg, nil, err
	}
	if err := setLimits(&cfg, v, out.cpus); err != nil {
		return cfg, nil, err
	}
	if cfg.Mounts, err = parseMounts(v); err != nil {
		return cfg, nil, err
	}
	warnings, err = setNetwork(&cfg, v)
	return cfg, warnings, err
}

// setCommand tells image, entrypoint and command apart. With --rootfs there is
// no image, and the command comes first.
func setCommand(cfg *runtime.Config, v values, args []string) error {
	if v.IsSet("rootfs") {
		if cfg.Rootfs == "" {
			return errors.New("--rootfs needs a directory")
		}
	} else {
		if len(args) == 0 {
			return errors.New("no image named")
		}
		cfg.Image, args = args[0], args[1:]
	}
	if len(args) > 0 {
		cfg.Cmd = args
	}
	if v.IsSet("entrypoint") {
		cfg.Entrypoint = []string{v.String("entrypoint")}
	}
	return nil
}

func parseLabels(list []string) (map[string]string, error) {
	for _, l := range list {
		if l == "" || l[0] == '=' {
			return nil, fmt.Errorf("invalid label '%s': empty name", l)
		}
	}
	return pairs(list), nil
}

// minMemory is the least that a container can start with: Docker's bound.
const minMemory = 6 << 20

func setLimits(cfg *runtime.Config, v values, cpus int) (err error) {
	for _, name := range []string{"memory", "pids-limit", "cpus"} {
		if v.IsSet(name) && v.String(name) == "" {
			return invalidArgument("", "--"+name, errors.New("value is empty"))
		}
	}
	if s := v.String("memory"); s != "" {
		if cfg.Memory, err = units.RAMInBytes(s); err != nil {
			return invalidArgument(s, "-m, --memory", err)
		}
		if cfg.Memory != 0 && cfg.Memory < minMemory {
			return errors.New("minimum memory limit allowed is 6MB")
		}
	}
	if s := v.String("pids-limit"); s != "" {
		if cfg.PidsLimit, err = strconv.ParseInt(s, 10, 64); err != nil {
			return invalidArgument(s, "--pids-limit", err)
		}
	}
	s := v.String("cpus")
	if s == "" {
		return nil
	}
	if cfg.NanoCPUs, err = parseCPUs(s); err != nil {
		return invalidArgument(s, "--cpus", err)
	}
	if n := cfg.NanoCPUs; n != 0 && (n < 1e7 || n > int64(cpus)*1e9) {
		return fmt.Errorf("range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available", cpus, cpus)
	}
	return nil
}

// parseCPUs reads a decimal number of CPUs as billionths, exactly.
func parseCPUs(s string) (int64, error) {
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) > 9 {
		return 0, errors.New("value is too precise")
	}
	digits := whole + frac + strings.Repeat("0", 9-len(frac))
	if whole+frac == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("failed to parse %s as a decimal number", s)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("more CPUs than %d", math.MaxInt64/int64(1e9))
	}
	return n, nil
}

// here are the real surroundings.
func here(lookup func(string) (string, bool)) surroundings {
	return surroundings{lookupEnv: lookup, cpus: goruntime.NumCPU()}
}
