// Which of the endpoints leads: the comparison stops this member, or leaves it alone, and so has to know
// it. Every member is asked for itself, and all at once, since one that is dead answers only by silence.
package main

import (
	"context"
	"errors"
	"time"
)

const (
	// leaderWithin is how long the cluster may take to have a leader.
	leaderWithin = 30 * time.Second
	// statusTimeout is how long a member may take to answer, before all are asked again.
	statusTimeout = 2 * time.Second
	// askPause is how long members that know no leader are not asked again.
	askPause = 100 * time.Millisecond
	// nobody stands for an endpoint that does not lead.
	nobody = -1
)

// errNoLeader says that no member claimed to lead.
var errNoLeader = errors.New("no leader within 30 s")

// place is the answer: the leader's place in the list of endpoints.
type place struct {
	Leader int `json:"leader"`
}

// findLeader asks until one of the endpoints says that it leads.
func findLeader(endpoints []string) (place, error) {
	ctx, cancel := context.WithTimeout(context.Background(), leaderWithin)
	defer cancel()
	for ctx.Err() == nil {
		if n := askAll(ctx, endpoints); n != nobody {
			return place{Leader: n}, nil
		}
		pause(ctx, askPause)
	}
	return place{}, errNoLeader
}

// askAll asks each endpoint once; the first that says it leads is the answer.
func askAll(ctx context.Context, endpoints []string) int {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	answers := make(chan int, len(endpoints))
	for n, endpoint := range endpoints {
		go func() {
			if !leads(ctx, endpoint) {
				n = nobody
			}
			answers <- n
		}()
	}
	for range endpoints {
		if n := <-answers; n != nobody {
			return n
		}
	}
	return nobody
}

// leads says whether this endpoint answers and takes itself for the leader.
func leads(ctx context.Context, endpoint string) bool {
	client, err := connect(ctx, []string{endpoint})
	if err != nil {
		return false
	}
	defer client.Close()
	status, err := client.Status(ctx, endpoint)
	return err == nil && status.Header.MemberId == status.Leader
}
