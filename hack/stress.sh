#!/bin/bash
# Runs all tests in random order while every processor is kept busy: what
# relies on a lucky moment fails here.
#
#   hack/stress.sh [COUNT [PACKAGE...]]   COUNT rounds (default 3) of PACKAGE (default all)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
burners=()
stop() {
	kill "${burners[@]}" 2>/dev/null || true
	wait
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
for _ in $(seq "$(nproc)"); do
	(while :; do :; done) &
	burners+=($!)
done
rounds=${1:-3}
packages=("${@:2}")
for round in $(seq "$rounds"); do
	printf '== stress round %d\n' "$round"
	go test -count=1 -shuffle=on -timeout=30m "${packages[@]:-./...}"
done
