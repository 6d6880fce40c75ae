package main

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{1000, 1, 1, 1, 1}, 1},
	} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestMedianLeavesItsArgumentAlone(t *testing.T) {
	in := []float64{3, 1, 2}
	median(in)
	if in[0] != 3 || in[1] != 1 || in[2] != 2 {
		t.Errorf("the samples became %v", in)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{
		{[]float64{3}, 0},
		{[]float64{5, 1, 3, 2, 4}, 1},
		{[]float64{1, 1, 1, 1, 1000}, 0},
	} {
		if got := spread(c.in); got != c.want {
			t.Errorf("spread(%v) = %v, want %v", c.in, got, c.want)
		}
	}
	if got := spread(nil); !math.IsNaN(got) {
		t.Errorf("spread of nothing = %v, want NaN", got)
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		unit unit
		in   float64
		want string
	}{
		{seconds, 23.6e-9, "23.6 ns"},
		{seconds, 107e-6, "107 µs"},
		{seconds, 0.00645, "6.45 ms"},
		{seconds, 0.3581, "358 ms"},
		{seconds, 9.5, "9500 ms"},
		{seconds, 12.34, "12.3 s"},
		{memSize, 3.8e6, "3.80 MB"},
		{perSecond, 4.144, "4.14 /s"},
		{bitRate, 17.04e9, "17.0 Gbit/s"},
		{factor, 1.0349, "1.03"},
		{seconds, math.NaN(), "-"},
	} {
		if got := c.unit.format(c.in); got != c.want {
			t.Errorf("format(%v) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestAdvantage(t *testing.T) {
	if got := seconds.advantage(2, 30); got != 15 {
		t.Errorf("2 s instead of 30 s is %v times better, want 15", got)
	}
	if got := perSecond.advantage(30, 2); got != 15 {
		t.Errorf("30 /s instead of 2 /s is %v times better, want 15", got)
	}
}
