// The run itself: the clients connect, the data is written, and then each client works in a closed loop
// of its own, while this file opens and closes the window. All clients live in one context and loop in
// another, so that at the window's end the loops stop at once and can still give back their sessions:
// a lease that is left behind would hold a lock against the next run until it expires.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	// dialTimeout is what etcd's client may take to connect, and to answer for the first time.
	dialTimeout = 10 * time.Second
	// retryPause is how long a failed attempt is not repeated.
	retryPause = 10 * time.Millisecond
	// parting is how long clients may take after the run to give back what they hold.
	parting = 2 * time.Second
	// patience is how long one operation of a load that must be finished is tried.
	patience = time.Minute
	// endless is the number of operations of a load that only the window's end stops.
	endless = -1
)

// load is what one client does.
type load struct {
	// operate makes one attempt at one operation.
	operate func(context.Context) error
	// times is how many operations there are.
	times int
	// release gives back what the client holds, after its last operation; it may be nil.
	release func()
}

// drive puts the load on the cluster and returns what it measured.
func drive(o order) (summary, error) {
	life, end := context.WithCancel(context.Background())
	defer end()
	clients, err := connectAll(life, o)
	if err != nil {
		return summary{}, err
	}
	if err := prepare(life, o, clients); err != nil {
		return summary{}, fmt.Errorf("writing the keys: %w", err)
	}
	looping, stop := context.WithCancel(life)
	defer stop()
	loads, err := loadsOf(looping, o, clients)
	if err != nil {
		return summary{}, err
	}
	records := make([]record, len(loads))
	var running sync.WaitGroup
	start := func() {
		for n, l := range loads {
			running.Go(func() { l.run(looping, &records[n]) })
		}
	}
	var w window
	if o.workload == fill {
		w.open()
		start()
		running.Wait()
		w.close()
	} else {
		start()
		time.Sleep(o.warmup)
		w.open()
		time.Sleep(o.measure)
		w.close()
		stop()
		time.AfterFunc(parting, end)
		running.Wait()
	}
	s := summarize(records, w)
	if o.workload == fill && s.Operations != o.keys {
		return s, errors.New("the cluster stopped taking writes")
	}
	return s, nil
}

// run operates until it is told to stop or nothing is left to do, and then gives back what it holds.
func (l load) run(ctx context.Context, r *record) {
	if l.release != nil {
		defer l.release()
	}
	for done := 0; done != l.times && l.once(ctx, r); done++ {
	}
}

// once tries one operation until it succeeds; it returns false when there is no use in going on.
func (l load) once(ctx context.Context, r *record) bool {
	began := now()
	for {
		err := l.operate(ctx)
		ended := now()
		if err == nil {
			r.ended = append(r.ended, sample{at: ended, took: ended - began})
			return true
		}
		if ctx.Err() != nil || l.times != endless && ended-began > patience {
			return false
		}
		r.failed = append(r.failed, ended)
		pause(ctx, retryPause)
	}
}

// connectAll creates the clients and waits until each of them has had an answer: etcd's client itself
// connects in the background.
func connectAll(life context.Context, o order) ([]*clientv3.Client, error) {
	count := o.clients
	if o.workload == watch {
		count++
	}
	clients := make([]*clientv3.Client, count)
	err := inParallel(count, func(n int) error {
		client, err := connect(life, o.endpoints)
		if err != nil {
			return err
		}
		clients[n] = client
		ctx, cancel := context.WithTimeout(life, dialTimeout)
		defer cancel()
		_, err = client.Get(ctx, keyName(0))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return clients, nil
}

// connect creates a client with etcd's default settings, whose log is not written.
func connect(life context.Context, endpoints []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:   endpoints,
		DialTimeout: dialTimeout,
		Context:     life,
		Logger:      zap.NewNop(),
	})
}

// inParallel does something for each number below count, all at once, and returns one of the errors.
func inParallel(count int, each func(int) error) error {
	failures := make([]error, count)
	var running sync.WaitGroup
	for n := range count {
		running.Go(func() { failures[n] = each(n) })
	}
	running.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

// pause waits for so long, or until the context ends.
func pause(ctx context.Context, length time.Duration) {
	select {
	case <-time.After(length):
	case <-ctx.Done():
	}
}

// window is the time that is measured, and what the process used of processors before its two ends.
type window struct {
	opened, closed       time.Duration
	cpuBefore, cpuBehind time.Duration
}

// open begins the window, and says so on the standard error as the other drivers do.
func (w *window) open() {
	fmt.Fprintln(os.Stderr, "window opens")
	w.opened, w.cpuBefore = now(), cpuOfThisProcess()
}

// close ends the window.
func (w *window) close() {
	w.closed, w.cpuBehind = now(), cpuOfThisProcess()
	fmt.Fprintln(os.Stderr, "window closes")
}

// started is the moment from which all moments are counted.
var started = time.Now()

// now is the present moment.
func now() time.Duration {
	return time.Since(started)
}

// cpuOfThisProcess is what this process has used of processors, user and system.
func cpuOfThisProcess() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // only a bad address or a bad first argument would be refused
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
