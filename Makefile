# The ways into this project. `make demo` and `make test` set up what they need on a fresh Debian machine.
#
# Check, test and demo share one target directory outside of the checkout and one cargo profile, because compiling RocksDB
# takes 10 to 17 minutes. For the same reason RUSTFLAGS is neither set nor passed on: warnings are denied by [workspace.lints].
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/synod/target
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
unexport RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

CARGO := export LIBCLANG_PATH="$$(.ci/libclang)"; cargo
EXAMPLE := examples/rate-limit/Cargo.toml

.PHONY: help
help: ## says what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | column -t -s "$$(printf '\t')"

.PHONY: setup
setup: ## installs what is missing to build
	@.ci/setup

.PHONY: build
build: setup ## builds the synod binary
	$(CARGO) build --locked -p synod

.PHONY: path
path: ## prints the folder of the built binary, for PATH
	@echo "$(CARGO_TARGET_DIR)/debug"

.PHONY: demo
demo: setup ## three members, a recipe installed while they run, killed leaders, a lock and an election that move on
	$(CARGO) run --locked -q -p synod-tests --bin demo

.PHONY: test
test: setup ## all tests
	$(CARGO) test --locked --workspace
	$(CARGO) test --locked --manifest-path $(EXAMPLE)
	$(CARGO) run --locked -q -p synod -- recipe test --wasm $(dir $(EXAMPLE)) -- --locked

.PHONY: soak
soak: setup ## the long form of a test: make soak WHAT=hostile
	export SYNOD_SOAK=1; $(CARGO) test --locked --workspace --test $(or $(WHAT),$(error say WHAT=hostile)) -- --nocapture

.PHONY: sim
sim: setup ## whole clusters in simulation: make sim SEEDS=200 SECONDS=60, make sim SEED=n for a trace; also FIRST=, FAULTS=crash,pause, ONLY=3,17, BUG=
	@$(CARGO) build --locked -q --workspace --bin synod-sim
	@$(CARGO_TARGET_DIR)/debug/synod-sim $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200)) --seconds $(or $(SECONDS),60) \
		$(if $(FIRST),--first $(FIRST)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(ONLY),--only $(ONLY)) $(if $(BUG),--planted $(BUG))

.PHONY: chaos
chaos: setup ## rounds of mixed faults on real processes, with checked records: make chaos ROUNDS=300 (SEED, SECONDS, FAULTS)
	@$(CARGO) build --locked -q --workspace --bin chaos
	@export LIBCLANG_PATH="$$(.ci/libclang)"; $(CARGO_TARGET_DIR)/debug/chaos --rounds $(or $(ROUNDS),10) --seconds $(or $(SECONDS),10) \
		$(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS))

.PHONY: fuzz
fuzz: setup ## one fuzz target: make fuzz TARGET=entries SEED=1 INPUTS=100000, or one input: INPUT=hex, FILE=path
	export LIBCLANG_PATH="$$(.ci/libclang)" SEED="$(SEED)" INPUTS="$(INPUTS)" INPUT="$(INPUT)" FILE="$(FILE)"; \
		tests/fuzz/run "$(or $(TARGET),$(error say TARGET=entries; an unknown one is told which there are))"

.PHONY: peers
peers: setup ## Synod beside ZooKeeper and etcd on this machine: make peers, make peers OPTIONS="--clients 64 --workloads write,read --rounds 1"
	$(CARGO) build --locked --release --workspace --bin synod --bin peers
	@$(CARGO_TARGET_DIR)/release/peers --synod $(CARGO_TARGET_DIR)/release/synod $(OPTIONS)

.PHONY: check
check: setup ## format, layout, lints, documentation, import rules, bundle
	cargo fmt --all --check
	cargo fmt --manifest-path $(EXAMPLE) --check
	cargo metadata --locked --manifest-path $(EXAMPLE) --format-version 1 >/dev/null
	$(CARGO) clippy --locked --workspace --all-targets
	export RUSTDOCFLAGS="-D warnings"; $(CARGO) doc --locked --workspace --no-deps
	$(CARGO) test --locked --workspace --test tidy --test architecture --test identical

.PHONY: check-bundle
check-bundle: setup ## the bundled recipes have the same bytes in every build
	$(CARGO) test --locked --workspace --test identical

.PHONY: bench
bench: setup ## benches of the engine and the machine
	$(CARGO) bench --locked -p synod-vm -p synod-machine
