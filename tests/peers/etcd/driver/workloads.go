// What one operation is, for each workload that all drivers know by the same name. These are written as
// the documentation of etcd's client shows them: Get and Put, its transactional memory for the counter,
// and its sessions; the recipes that hold something between operations are in recipes.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// The workloads that DRIVERS.md names.
const (
	write    = "write"
	read     = "read"
	mixed    = "mixed"
	counter  = "counter"
	lock     = "lock"
	locks    = "locks"
	election = "election"
	sessions = "sessions"
	watch    = "watch"
	fill     = "fill"
	leader   = "leader"
)

// workloads are all that this driver knows.
var workloads = []string{
	write, read, mixed, counter, lock, locks, election, sessions, watch, fill, leader,
}

const (
	// operationTimeout is how long an attempt may take.
	operationTimeout = 10 * time.Second
	// counterKey is what all increment.
	counterKey = "bench-counter"
	// preparers is how many requests write the data at once, and preparedPuts and preparedBytes how much
	// one of them writes at most: a server takes 128 operations and 1.5 MiB unless told otherwise.
	preparers     = 64
	preparedPuts  = 100
	preparedBytes = 1 << 20
	// keyBytes is more than a key and what surrounds it in a request take.
	keyBytes = 64
)

// errMissing says that a key that was written is not there.
var errMissing = errors.New("the key is not there")

// loadsOf makes the clients ready and returns what each of them does.
func loadsOf(ctx context.Context, o order, clients []*clientv3.Client) ([]load, error) {
	if o.workload == watch {
		return watchers(ctx, clients)
	}
	loads := make([]load, len(clients))
	err := inParallel(len(clients), func(n int) (err error) {
		loads[n], err = loadOf(ctx, o, n, clients[n])
		return err
	})
	return loads, err
}

// loadOf returns what client n does.
func loadOf(ctx context.Context, o order, n int, client *clientv3.Client) (load, error) {
	switch o.workload {
	case write:
		return keys(o, n, client, 0), nil
	case read:
		return keys(o, n, client, 10), nil
	case mixed:
		return keys(o, n, client, 9), nil
	case counter:
		return load{operate: incrementer(client), times: endless}, nil
	case lock:
		return locker(ctx, client, lockPrefix, waiting)
	case locks:
		return locker(ctx, client, fmt.Sprintf("%s/%d", lockPrefix, n), operationTimeout)
	case election:
		return candidate(ctx, client, n)
	case sessions:
		return load{operate: opener(client), times: endless}, nil
	case fill:
		return filler(o, n, client), nil
	}
	return load{}, fmt.Errorf("%w: %s", errUnknown, o.workload)
}

// keys reads and sets keys drawn at random, so many reads in ten operations.
func keys(o order, n int, client *clientv3.Client, readsInTen int) load {
	dice := rand.New(rand.NewPCG(uint64(n), 0))
	value := valueOf(o)
	operate := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		key := keyName(dice.IntN(o.keys))
		if dice.IntN(10) >= readsInTen {
			_, err := client.Put(ctx, key, value)
			return err
		}
		got, err := client.Get(ctx, key)
		if err == nil && len(got.Kvs) == 0 {
			err = errMissing
		}
		return err
	}
	return load{operate: operate, times: endless}
}

// filler sets each key of client n's share once.
func filler(o order, n int, client *clientv3.Client) load {
	next, value := n, valueOf(o)
	operate := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		_, err := client.Put(ctx, keyName(next), value)
		if err == nil {
			next += o.clients
		}
		return err
	}
	return load{operate: operate, times: max(0, (o.keys-n+o.clients-1)/o.clients)}
}

// incrementer adds one to the counter, in a transaction that begins anew by itself when another client
// was faster.
func incrementer(client *clientv3.Client) func(context.Context) error {
	increment := func(stm concurrency.STM) error {
		count := 0
		if text := stm.Get(counterKey); text != "" {
			var err error
			if count, err = strconv.Atoi(text); err != nil {
				return err
			}
		}
		stm.Put(counterKey, strconv.Itoa(count+1))
		return nil
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		_, err := concurrency.NewSTM(client, increment, concurrency.WithAbortContext(ctx))
		return err
	}
}

// opener opens a session and closes it.
func opener(client *clientv3.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		session, err := concurrency.NewSession(client, concurrency.WithContext(ctx))
		if err != nil {
			return err
		}
		return session.Close()
	}
}

// prepare writes the keys that the workload needs, with all clients.
func prepare(ctx context.Context, o order, clients []*clientv3.Client) error {
	if o.workload != write && o.workload != read && o.workload != mixed {
		return nil
	}
	value := valueOf(o)
	atOnce := min(max(preparedBytes/(o.valueBytes+keyBytes), 1), preparedPuts)
	return inParallel(preparers, func(n int) error {
		client := clients[n%len(clients)]
		for first := n * atOnce; first < o.keys; first += preparers * atOnce {
			var puts []clientv3.Op
			for key := first; key < min(first+atOnce, o.keys); key++ {
				puts = append(puts, clientv3.OpPut(keyName(key), value))
			}
			attempt, cancel := context.WithTimeout(ctx, operationTimeout)
			_, err := client.Txn(attempt).Then(puts...).Commit()
			cancel()
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// keyName is the name of a key.
func keyName(n int) string {
	return "bench/" + strconv.Itoa(n)
}

// valueOf is the value of every key.
func valueOf(o order) string {
	return strings.Repeat("x", o.valueBytes)
}
