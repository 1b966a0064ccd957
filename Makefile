# Bare `make` lists what there is. Everything works on a Debian or Ubuntu machine with Rust (rustup), Go, make and root.
# Builds of tools, images and dependencies are kept in $(EDGE_CACHE), by version, outside the checkout.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export EDGE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/edge-operator
# A target folder for each place of a checkout: a fresh clone at the same place compiles no dependency again. Never one folder for
# several checkouts: cargo goes by the age of files, and would take the programs of the one for those of the other.
ifndef CARGO_TARGET_DIR
export CARGO_TARGET_DIR := $(EDGE_CACHE)/target/$(shell printf '%s' '$(CURDIR)' | sha256sum | cut -c1-12)
endif
DENY_VERSION := 0.20.2
DENY := $(EDGE_CACHE)/tools/cargo-deny-$(DENY_VERSION)/bin/cargo-deny

include e2e/cluster/cluster.mk

.PHONY: help check format lint unit generate generated deny test test-e2e test-sdk cross image demo demo-down sizes vectors bench-hub bench-memory bench-disk test-crash

help: ## list the recipes
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:.*## /\t/' | column -t -s $$'\t'

check: format lint unit generated ## the quick loop: format, lints, unit tests, generated files

format:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets --quiet -- -D warnings

unit: ## tests that need neither cluster nor root
	cargo test --workspace --quiet --exclude edge-e2e

generate: ## write the CRD, its reference and the chart's copy anew
	cargo run --quiet -p edge-crds --bin crdgen

generated: ## fail if a generated file is stale
	cargo run --quiet -p edge-crds --bin crdgen -- --check

# A file of reference vectors: inputs, and what IoT Edge makes of them.
VECTORS ?=
vectors: ## run reference vectors against the hub's libraries: make vectors VECTORS=FILE [AREAS="condition_ route_"]
	@[[ -n '$(VECTORS)' ]] || { echo 'say which file: make vectors VECTORS=FILE' >&2; exit 2; }
	@cargo run --quiet -p edge-vectors -- '$(VECTORS)' $(foreach area,$(AREAS),--area $(area))

deny: $(DENY) ## licences, banned and duplicate crates, sources
	$(DENY) --log-level error check bans licenses sources

$(DENY):
	cargo install cargo-deny --version $(DENY_VERSION) --locked --root $(dir $(@D)) --target-dir $(EDGE_CACHE)/build/cargo-deny
	rm -rf $(EDGE_CACHE)/build/cargo-deny

test: ## everything that a release needs; starts the local cluster
	@e2e/test.sh

test-sdk: ## the public Python SDK against a hub without a cluster: forwarding, kill -9, broker outage
	@e2e/sdk-smoke/run.sh

cross: ## hub and sidecar for aarch64 and armv7, checked and started; the tests of the store on 32 bits
	@e2e/cross/run.sh

image: ## build the image of controller, hub and sidecar into the cache; PROFILE=fast for a quicker build
	@e2e/images/build-operator.sh

demo: ## from nothing to readings at a site broker: cluster, chart, an EdgeDeployment and two modules
	@e2e/demo/run.sh

demo-down: ## remove the demo from the cluster
	@e2e/demo/down.sh

sizes: ## print image size and resident memory of controller, idle hub and sidecar, against their targets
	@e2e/sizes.sh

bench-hub: ## measure the hub's rates and latencies beside mosquitto's, against their targets; ARGS=--help lists more
	@e2e/bench/run.sh hub $(ARGS)

bench-memory: ## measure the hub's memory with millions of messages and a thousand clients, against its targets
	@e2e/bench/run.sh memory $(ARGS)

bench-disk: ## measure the bytes that the hub writes to a block device, against their targets (root)
	@e2e/bench/run.sh disk $(ARGS)

test-crash: ## kill a hub at every named place of its work, under load, and look for what was acknowledged and is gone
	@e2e/crash/run.sh $(ARGS)
