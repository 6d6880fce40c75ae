#!/bin/bash
# Runs each fuzz test of the module for a bounded time.
#
#   hack/fuzz.sh [TIME]      TIME as in go test -fuzztime; default 10s
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:-10s}
found=0
for dir in $(go list -f '{{.Dir}}' ./...); do
	mapfile -t tests < <(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go 2>/dev/null)
	for test in "${tests[@]}"; do
		found=$((found + 1))
		printf '== fuzz %s %s, %s\n' "${dir#"$PWD"/}" "$test" "$time"
		go test -run='^$' -fuzz="^$test\$" -fuzztime="$time" "$dir"
	done
done
printf '%d fuzz tests\n' "$found"
