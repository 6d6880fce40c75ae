#!/bin/bash
# Runs all tests in random order while every processor is kept busy: what
# relies on a lucky moment fails here.
#
#   hack/stress.sh [COUNT]   COUNT rounds; default 3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
burners=()
stop() { kill "${burners[@]}" 2>/dev/null || true; }
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
for _ in $(seq "$(nproc)"); do
	(while :; do :; done) &
	burners+=($!)
done
for round in $(seq "${1:-3}"); do
	printf '== stress round %d\n' "$round"
	go test -count=1 -shuffle=on -timeout=30m ./...
done
