// Tests of the arithmetic of the answer: the rest of the driver shows itself only against a cluster.
package main

import (
	"testing"
	"time"
)

// numbered is a record whose n-th operation ends after n ms and takes n ms.
func numbered(count int) record {
	var r record
	for n := 1; n <= count; n++ {
		length := time.Duration(n) * time.Millisecond
		r.ended = append(r.ended, sample{at: length, took: length})
	}
	return r
}

// Only what ended within the window counts, of operations and of failures.
func TestSummaryIsOfTheWindow(t *testing.T) {
	w := window{opened: 0, closed: 100 * time.Millisecond, cpuBefore: time.Second, cpuBehind: 3 * time.Second}
	failures := record{failed: []time.Duration{-time.Millisecond, time.Millisecond, time.Second}}
	got := summarize([]record{numbered(200), failures}, w)
	want := summary{
		Operations: 100, Failed: 1, MeasuredMS: 100, P50US: 50_000, P99US: 99_000, P999US: 100_000,
		MaxUS: 100_000, LongestGapMS: 1, ClientCPUMS: 2000,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Of nothing, everything is zero but the gap, which is the whole window.
func TestSummaryOfNothing(t *testing.T) {
	got := summarize(nil, window{opened: time.Second, closed: 2 * time.Second})
	if want := (summary{MeasuredMS: 1000, LongestGapMS: 1000}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The nearest rank is the smallest value that so many thousandths do not exceed.
func TestRank(t *testing.T) {
	for _, c := range []struct{ count, thousandths, want int }{
		{1, 500, 1}, {2, 500, 1}, {3, 500, 2}, {10, 990, 10}, {100, 990, 99}, {1000, 999, 999}, {1001, 999, 1000},
		{7, 1000, 7}, {0, 500, 0},
	} {
		sorted := make([]time.Duration, c.count)
		for n := range sorted {
			sorted[n] = time.Duration(n + 1)
		}
		if got := rank(sorted, c.thousandths); got != time.Duration(c.want) {
			t.Errorf("%d thousandths of %d: got %d, want %d", c.thousandths, c.count, got, c.want)
		}
	}
}

// The window's two ends bound a gap as operations do.
func TestLongestGap(t *testing.T) {
	for _, c := range []struct {
		ends []time.Duration
		want time.Duration
	}{
		{nil, 100}, {[]time.Duration{160}, 60}, {[]time.Duration{110}, 90}, {[]time.Duration{120, 150, 195}, 45},
		{[]time.Duration{100, 200}, 100},
	} {
		if got := longestGap(c.ends, 100, 200); got != c.want {
			t.Errorf("%v: got %d, want %d", c.ends, got, c.want)
		}
	}
}
