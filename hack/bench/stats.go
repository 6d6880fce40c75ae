package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// median returns the middle sample, or the mean of the middle two. It is NaN
// when there is none.
func median(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(samples))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// spread is half the distance between the quartiles: how much the samples
// differ, whatever the few worst are.
func spread(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(samples))
	last := float64(len(s) - 1)
	at := func(q float64) float64 { return s[int(math.Round(q*last))] }
	return (at(0.75) - at(0.25)) / 2
}

// unit tells how a number is shown and which direction is better.
type unit int

const (
	seconds   unit = iota // less is better
	memSize               // less is better
	factor                // less is better
	count                 // less is better
	perSecond             // more is better
	bitRate               // more is better
)

// moreIsBetter tells whether a larger number is the better one.
func (u unit) moreIsBetter() bool { return u == perSecond || u == bitRate }

// format writes v with its unit and three or so significant digits.
func (u unit) format(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	switch u {
	case seconds:
		return formatSeconds(v)
	case memSize:
		return digits(v/1e6) + " MB"
	case perSecond:
		return digits(v) + " /s"
	case count:
		return fmt.Sprintf("%.0f", v)
	case bitRate:
		return digits(v/1e9) + " Gbit/s"
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func formatSeconds(v float64) string {
	switch {
	case v < 1e-6:
		return digits(v*1e9) + " ns"
	case v < 1e-3:
		return digits(v*1e6) + " µs"
	case v < 10:
		return digits(v*1e3) + " ms"
	default:
		return digits(v) + " s"
	}
}

// digits writes v with as many decimals as matter.
func digits(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// advantage tells how many times better a is than b.
func (u unit) advantage(a, b float64) float64 {
	if u.moreIsBetter() {
		return a / b
	}
	return b / a
}

func inSeconds(d time.Duration) float64 { return d.Seconds() }
