package main

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// allocations runs the benchmarks of the package ipam and shows the slowest
// of each kind.
func allocations(ctx context.Context, b *bench) ([]row, error) {
	// 20 ms each: a fixed count would be too short for one and too long for another.
	cmd := b.program(ctx, "go", "test", "-run", "^$", "-bench", "^(BenchmarkBitmapAllocate|BenchmarkFile)$",
		"-benchtime", "20ms", "./ipam")
	cmd.Dir = b.source
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running the benchmarks of ipam: %w: %s", err, firstLine(string(out)))
	}
	results := parseBenchmarks(string(out))
	var rows []row
	for _, k := range []struct {
		prefix, suffix, key, title string
		goal                       goal
	}{
		{"BitmapAllocate/16/", "", "ipam-16", "one address of a /16 in memory, worst fill", below("≤ 100 ns", 100e-9)},
		{"BitmapAllocate/8/", "", "ipam-8", "one address of a /8 in memory, worst fill", below("≤ 100 ns", 100e-9)},
		{"File/24/", "/cold", "ipam-file-24", "one address of a /24 with lock and file", below("≤ 50 µs", 50e-6)},
		{"File/16/", "/cold", "ipam-file-16", "one address of a /16 with lock and file", below("≤ 50 µs", 50e-6)},
		{"File/8/", "/cold", "ipam-file-8", "one address of a /8 with lock and file", below("≤ 50 µs", 50e-6)},
	} {
		if v, ok := slowest(results, k.prefix, k.suffix); ok {
			rows = append(rows, row{k.key, k.title, seconds, map[string][]float64{"mini": {v}}, k.goal})
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("no benchmark of ipam has a name known here")
	}
	return rows, nil
}

// parseBenchmarks reads the output of go test -bench: seconds per operation
// by name, without "Benchmark" and without the number of processors.
func parseBenchmarks(out string) map[string]float64 {
	results := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || f[3] != "ns/op" {
			continue
		}
		name, ok := strings.CutPrefix(f[0], "Benchmark")
		ns, err := strconv.ParseFloat(f[2], 64)
		if !ok || err != nil {
			continue
		}
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
		results[name] = ns * 1e-9
	}
	return results
}

// slowest returns the largest result whose name has the prefix and the suffix.
func slowest(results map[string]float64, prefix, suffix string) (float64, bool) {
	most, found := 0.0, false
	for name, v := range results {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			most, found = max(most, v), true
		}
	}
	return most, found
}
