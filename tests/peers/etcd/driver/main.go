// The driver of etcd: it puts load on a cluster as etcd's own users would, with the official client and
// its recipes, and prints one answer. This file reads the arguments and turns whatever happens into the
// exit codes of ../../DRIVERS.md, so that the rest of the driver need not know of either.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/grpclog"
)

// What the process says by its exit code.
const (
	exitAnswered = 0
	exitFailed   = 1
	exitUsage    = 2
	exitUnknown  = 3
)

// errUnknown says that the workload is none that this driver knows.
var errUnknown = errors.New("unknown workload")

// order is what the driver is to do.
type order struct {
	endpoints  []string
	workload   string
	clients    int
	warmup     time.Duration
	measure    time.Duration
	keys       int
	valueBytes int
}

func main() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	os.Exit(answer(os.Args[1:]))
}

// answer does what the arguments say, prints the answer or the reason why there is none, and returns the
// exit code.
func answer(arguments []string) int {
	o, err := parse(arguments)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, errUnknown) {
			return exitUnknown
		}
		return exitUsage
	}
	var said any
	if o.workload == leader {
		said, err = findLeader(o.endpoints)
	} else {
		said, err = drive(o)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(said)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return exitAnswered
}

// parse reads the arguments. Those that the workload has no use for may be missing.
func parse(arguments []string) (order, error) {
	flags := flag.NewFlagSet("driver", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	endpoints := flags.String("endpoints", "", "HOST:PORT of each member, separated by commas")
	workload := flags.String("workload", "", "what an operation is")
	clients := flags.Int("clients", 0, "how many clients there are")
	warmup := flags.Int64("warmup-ms", -1, "how long nothing is measured")
	measure := flags.Int64("measure-ms", -1, "how long it is measured")
	keys := flags.Int("keys", 10_000, "how many keys there are")
	valueBytes := flags.Int("value-bytes", 100, "how long a value is")
	if err := flags.Parse(arguments); err != nil {
		return order{}, err
	}
	o := order{
		endpoints:  strings.Split(*endpoints, ","),
		workload:   *workload,
		clients:    *clients,
		warmup:     time.Duration(*warmup) * time.Millisecond,
		measure:    time.Duration(*measure) * time.Millisecond,
		keys:       *keys,
		valueBytes: *valueBytes,
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("superfluous argument: %s", flags.Arg(0))
	case slices.Contains(o.endpoints, ""):
		return o, errors.New("--endpoints HOST:PORT,… is needed")
	case o.workload == "":
		return o, errors.New("--workload NAME is needed")
	case !slices.Contains(workloads, o.workload):
		return o, fmt.Errorf("%w: %s", errUnknown, o.workload)
	case o.workload == leader:
		return o, nil
	case o.clients < 1:
		return o, errors.New("--clients N is needed, at least 1")
	case o.workload != fill && (o.warmup < 0 || o.measure <= 0):
		return o, errors.New("--warmup-ms W, at least 0, and --measure-ms M, at least 1, are needed")
	case o.keys < 1 || o.valueBytes < 0:
		return o, errors.New("--keys is at least 1, and --value-bytes at least 0")
	}
	return o, nil
}
