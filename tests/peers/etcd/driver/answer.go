// What the driver tells at its end, worked out from what each client has noted. Clients note every
// operation from their start on, each in a list of its own, so that noting costs them next to nothing;
// what lies outside the window is left out only here.
package main

import (
	"slices"
	"time"
)

// sample is one operation: when it ended, and how long it took.
type sample struct {
	at, took time.Duration
}

// record is what one client has done: its operations, and when its attempts failed.
type record struct {
	ended  []sample
	failed []time.Duration
}

// summary is the answer, as DRIVERS.md says.
type summary struct {
	Operations   int     `json:"operations"`
	Failed       int     `json:"failed"`
	MeasuredMS   float64 `json:"measured_ms"`
	P50US        float64 `json:"p50_us"`
	P99US        float64 `json:"p99_us"`
	P999US       float64 `json:"p999_us"`
	MaxUS        float64 `json:"max_us"`
	LongestGapMS float64 `json:"longest_gap_ms"`
	ClientCPUMS  float64 `json:"client_cpu_ms"`
}

// summarize sums up what all clients did within the window.
func summarize(records []record, w window) summary {
	var took, ends []time.Duration
	failed := 0
	for _, r := range records {
		for _, s := range r.ended {
			if w.contains(s.at) {
				took, ends = append(took, s.took), append(ends, s.at)
			}
		}
		for _, at := range r.failed {
			if w.contains(at) {
				failed++
			}
		}
	}
	slices.Sort(took)
	slices.Sort(ends)
	return summary{
		Operations:   len(took),
		Failed:       failed,
		MeasuredMS:   ms(w.closed - w.opened),
		P50US:        us(rank(took, 500)),
		P99US:        us(rank(took, 990)),
		P999US:       us(rank(took, 999)),
		MaxUS:        us(rank(took, 1000)),
		LongestGapMS: ms(longestGap(ends, w.opened, w.closed)),
		ClientCPUMS:  ms(w.cpuBehind - w.cpuBefore),
	}
}

// contains says whether a moment lies within the window.
func (w window) contains(at time.Duration) bool {
	return w.opened <= at && at <= w.closed
}

// rank is the nearest rank of so many thousandths in a sorted list; zero of nothing.
func rank(sorted []time.Duration, thousandths int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	place := (len(sorted)*thousandths + 999) / 1000
	return sorted[max(place, 1)-1]
}

// longestGap is the longest time between neighbours of a sorted list of moments, and from its ends to
// the window's.
func longestGap(sorted []time.Duration, opened, closed time.Duration) time.Duration {
	longest, last := time.Duration(0), opened
	for _, at := range sorted {
		longest, last = max(longest, at-last), at
	}
	return max(longest, closed-last)
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
