package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// options are bench's flags.
type options struct {
	mini  string
	only  *regexp.Regexp
	runs  int
	many  int
	quick bool
	limit time.Duration
}

func main() {
	inside := map[string]func() error{initName: initMain, agentName: agentMain}
	if f, ok := inside[os.Args[0]]; ok {
		// Its namespaces are those of the process; see initMain.
		runtime.LockOSThread()
		exit(f())
	}
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		os.Exit(2) // flag has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	exit(measure(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func parseFlags(args []string) (options, error) {
	var o options
	var only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.mini, "mini", "", "measure this mini `binary` (default: build ./cmd/mini)")
	f.StringVar(&only, "only", "", "only the measures whose names match this `regexp`; see the first lines of the output")
	f.IntVar(&o.runs, "runs", 15, "`samples` per engine of the short measures")
	f.IntVar(&o.many, "many", 50, "`containers` that are started and removed together")
	f.BoolVar(&o.quick, "quick", false, "few samples: three, ten containers together")
	f.DurationVar(&o.limit, "limit", 8*time.Minute, "skip what would begin later than this")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.runs, o.many = 3, 10
	}
	re, err := regexp.Compile(only)
	if err == nil && (o.runs < 1 || o.many < 1 || f.NArg() > 0) {
		err = errors.New("-runs and -many take a number above 0, and there are no arguments")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	o.only = re
	return o, err
}
