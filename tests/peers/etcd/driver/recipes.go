// The workloads in which a client holds something between its operations: a session, as lock and
// election need it, or a watch. Sessions and watches are opened before the run, as a program opens them
// once, and a session that was lost is opened again, since nothing would ever succeed with it.
package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	// waiting is how long a client may wait for a lock or to be elected, while others are before it.
	waiting = time.Minute
	// sessionTTL is the seconds that concurrency.NewSession asks for.
	sessionTTL = 60
	// lockPrefix, electionPrefix and watchedKey are what the clients contend for and what they watch.
	lockPrefix     = "bench-lock"
	electionPrefix = "bench-election"
	watchedKey     = "bench-watched"
)

// errNoWatch says that a watch was not created in time.
var errNoWatch = errors.New("a watch was not created")

// member is a client that takes its turn under a session.
type member struct {
	client  *clientv3.Client
	session *concurrency.Session
	// renew makes the recipe anew of a new session.
	renew func(*concurrency.Session)
}

// openSession is concurrency.NewSession, except that it is bounded in time: there the context given
// would be that of the session's whole life.
func openSession(ctx context.Context, client *clientv3.Client) (*concurrency.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	lease, err := client.Grant(ctx, sessionTTL)
	if err != nil {
		return nil, err
	}
	return concurrency.NewSession(client, concurrency.WithLease(lease.ID))
}

// join opens the session.
func (m *member) join(ctx context.Context) error {
	session, err := openSession(ctx, m.client)
	if err == nil {
		m.session = session
		m.renew(session)
	}
	return err
}

// turns is a load of taking a turn and giving it up again.
func (m *member) turns(ctx context.Context, take, give func(context.Context) error) (load, error) {
	operate := func(ctx context.Context) error {
		select {
		case <-m.session.Done():
			if err := m.join(ctx); err != nil {
				return err
			}
		default:
		}
		if err := take(ctx); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		return give(ctx)
	}
	// A session that cannot be closed ends with its lease.
	release := func() { _ = m.session.Close() }
	return load{operate: operate, times: endless, release: release}, m.join(ctx)
}

// locker acquires and releases a lock, for which it waits so long at most.
func locker(ctx context.Context, client *clientv3.Client, name string, wait time.Duration) (load, error) {
	var mutex *concurrency.Mutex
	m := &member{client: client, renew: func(session *concurrency.Session) {
		mutex = concurrency.NewMutex(session, name)
	}}
	acquire := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		return mutex.Lock(ctx)
	}
	return m.turns(ctx, acquire, func(ctx context.Context) error { return mutex.Unlock(ctx) })
}

// candidate campaigns as client n and resigns as soon as it is elected.
func candidate(ctx context.Context, client *clientv3.Client, n int) (load, error) {
	var elected *concurrency.Election
	m := &member{client: client, renew: func(session *concurrency.Session) {
		elected = concurrency.NewElection(session, electionPrefix)
	}}
	campaign := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, waiting)
		defer cancel()
		return elected.Campaign(ctx, strconv.Itoa(n))
	}
	return m.turns(ctx, campaign, func(ctx context.Context) error { return elected.Resign(ctx) })
}

// watchers makes all clients but the last watch one key; the last one's load is to set it and to wait
// until all have seen the value, which is the number of the attempt.
func watchers(ctx context.Context, clients []*clientv3.Client) ([]load, error) {
	count := len(clients) - 1
	writer := clients[count]
	seen := make(chan int, count)
	created := make(chan struct{}, count)
	for _, client := range clients[:count] {
		go follow(ctx, client, created, seen)
	}
	late := time.After(dialTimeout)
	for range count {
		select {
		case <-created:
		case <-late:
			return nil, errNoWatch
		}
	}
	number := 0
	operate := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		number++
		if _, err := writer.Put(ctx, watchedKey, strconv.Itoa(number)); err != nil {
			return err
		}
		for missing := count; missing > 0; {
			select {
			case saw := <-seen:
				if saw == number {
					missing--
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	return []load{{operate: operate, times: endless}}, nil
}

// follow tells when its watch is created, and each number that the watch brings. A watch survives the
// loss of a member by itself; one that the server has given up is opened again.
func follow(ctx context.Context, client *clientv3.Client, created chan<- struct{}, seen chan<- int) {
	for ctx.Err() == nil {
		for got := range client.Watch(ctx, watchedKey, clientv3.WithCreatedNotify()) {
			if got.Created {
				select {
				case created <- struct{}{}:
				default: // only the first creation of each is waited for
				}
			}
			for _, event := range got.Events {
				number, err := strconv.Atoi(string(event.Kv.Value))
				if err != nil {
					continue
				}
				select {
				case seen <- number:
				case <-ctx.Done():
					return
				}
			}
		}
		pause(ctx, retryPause)
	}
}
