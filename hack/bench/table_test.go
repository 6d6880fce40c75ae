package main

import (
	"math"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	tab := table{rows: []row{
		{"run-bridge", "run", seconds,
			map[string][]float64{"mini": {0.010, 0.030, 0.020}, "docker": {0.3}},
			timesBetter("≤ 1/15 docker", 15).andBelowCell(", < runc", "run-none", "runc")},
		{"run-none", "none", seconds, map[string][]float64{"runc": {0.033}}, noGoal()},
	}}
	want := strings.Join([]string{
		"|      |    mini | docker | podman |    runc | crun | bridge by hand | veth by hand | docker/mini |                target | met | n |",
		"|------|--------:|-------:|-------:|--------:|-----:|---------------:|-------------:|------------:|----------------------:|----:|--:|",
		"| run  | 20.0 ms | 300 ms |      - |       - |    - |              - |            - |        15.0 | ≤ 1/15 docker, < runc | yes | 3 |",
		"| none |       - |      - |      - | 33.0 ms |    - |              - |            - |           - |                       |     | 1 |",
		"",
	}, "\n")
	var b strings.Builder
	if err := tab.write(&b); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func samples(mini, docker float64) map[string][]float64 {
	m := map[string][]float64{}
	for name, v := range map[string]float64{"mini": mini, "docker": docker} {
		if !math.IsNaN(v) {
			m[name] = []float64{v}
		}
	}
	return m
}

func TestGoals(t *testing.T) {
	missing := math.NaN()
	for _, c := range []struct {
		name string
		row  row
		want string
	}{
		{"time reached", row{unit: seconds, samples: samples(1, 15), goal: timesBetter("", 15)}, "yes"},
		{"time missed", row{unit: seconds, samples: samples(1, 14), goal: timesBetter("", 15)}, "no"},
		{"rate reached", row{unit: perSecond, samples: samples(60, 4), goal: timesBetter("", 15)}, "yes"},
		{"rate missed", row{unit: perSecond, samples: samples(4, 60), goal: timesBetter("", 15)}, "no"},
		{"no docker", row{unit: seconds, samples: samples(1, missing), goal: timesBetter("", 15)}, "-"},
		{"no mini", row{unit: seconds, samples: samples(missing, 1), goal: timesBetter("", 15)}, "-"},
		{"below", row{unit: factor, samples: samples(1.1, missing), goal: below("", 1.1)}, "yes"},
		{"above", row{unit: factor, samples: samples(1.2, missing), goal: below("", 1.1)}, "no"},
		{"nothing", row{unit: factor, samples: samples(missing, missing), goal: below("", 1.1)}, "-"},
		{"no goal", row{unit: seconds, samples: samples(1, 1)}, ""},
		{"other row missing", row{unit: seconds, samples: samples(1, 15), goal: timesBetter("", 15).andBelowCell("", "none", "runc")}, "-"},
	} {
		if got := c.row.goal.verdict(table{}, c.row); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestGoalOfAnotherRow(t *testing.T) {
	for runc, want := range map[float64]string{2: "yes", 1: "no", 0.5: "no"} {
		tab := table{rows: []row{{key: "none", samples: map[string][]float64{"runc": {runc}}}}}
		r := row{unit: seconds, samples: samples(1, 15)}
		r.goal = timesBetter("", 15).andBelowCell("", "none", "runc")
		if got := r.goal.verdict(tab, r); got != want {
			t.Errorf("1 s beside runc's %v s: %q, want %q", runc, got, want)
		}
	}
}

func TestNearHandComparesRoundByRound(t *testing.T) {
	r := row{unit: bitRate, goal: nearHand(0.97), samples: map[string][]float64{
		// The machine became slow after the first round.
		"mini": {10, 5, 5}, byHandBridge: {10, 5, 5}, byHandVeth: {20, 10, 10},
	}}
	if got, want := r.goal.verdict(table{}, r), "no (bridge 1.00 ± 0.00, veth 0.50 ± 0.00)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	delete(r.samples, byHandVeth)
	if got := r.goal.verdict(table{}, r); got != "-" {
		t.Errorf("without a path by hand: %q, want -", got)
	}
}
