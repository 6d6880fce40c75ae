# mini: see "make help".

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PREFIX   ?= /usr/local
FUZZTIME ?= 10s
ROUNDS   ?= 3
# Integration tests wait more than they compute.
PARALLEL ?= 4
# Pinned, so that a new release cannot fail a build that passed.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.7.0

# Leaves out urfave/cli's manual-page writer, whose Markdown library costs every
# start of mini half a millisecond.
TAGS = urfave_cli_no_docs

# All but those that run the built binary or make private hosts, as root.
UNIT = $$(go list ./... | grep -v '/mini/integration')

# The integration tests that the firewall driver makes a difference to.
NETWORKTESTS = $$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(t .*/\1/p' integration/net_*_test.go integration/doctor*_test.go integration/run_crash*_test.go | paste -s -d '|')

export CGO_ENABLED = 0

.DEFAULT_GOAL := help
.PHONY: help build install test preflight vet lint unit integration race stress fuzz bench quickstart clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/mini, one static binary
	go build -trimpath -tags $(TAGS) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/mini ./cmd/mini

install: build ## copy it to PREFIX/bin (default /usr/local/bin)
	install -D -m 755 bin/mini $(DESTDIR)$(PREFIX)/bin/mini

test: preflight vet lint unit integration integration-nftables ## run everything: vet, lint, unit and integration tests
	@echo '== all passed'

preflight: ## say what this machine lacks
	@echo '== preflight'
	@hack/preflight.sh --build

vet: ## run go vet
	@echo '== vet'
	go vet ./...

lint: ## check formatting, Go (staticcheck) and the scripts (shellcheck)
	@echo '== lint'
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted by gofmt:"; echo "$$files"; exit 1; fi
	go run $(STATICCHECK) ./...
	shellcheck hack/*.sh .ci/run

unit: ## run the unit tests
	@echo '== unit tests'
	go test -count=1 $(UNIT)

integration: ## run the tests of the built binary in private hosts (root)
	@echo '== integration tests'
	go test -count=1 -timeout=20m -parallel=$(PARALLEL) ./integration/...

integration-nftables: ## run those of networks once more with the firewall driver nftables (root)
	@echo '== integration tests of networks, nftables'
	@MINI_TEST_BACKEND=nftables go test -count=1 -timeout=20m -parallel=$(PARALLEL) -run "^($(NETWORKTESTS))$$" ./integration

race: ## run all tests under the race detector (needs a C compiler)
	@echo '== race detector'
	CGO_ENABLED=1 go test -race -count=1 -timeout=30m ./...

stress: ## run all tests ROUNDS times in random order on busy processors
	hack/stress.sh $(ROUNDS)

fuzz: ## run each fuzz test for FUZZTIME (default 10s)
	hack/fuzz.sh $(FUZZTIME)

bench: build ## measure mini beside docker, podman, runc and crun
	go run ./hack/bench

quickstart: ## show mini at work on this machine (MINI_PRIVATE=1: without touching its network)
	@hack/quickstart.sh

clean: ## remove what was built
	rm -rf bin
