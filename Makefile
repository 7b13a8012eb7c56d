# The two commands of the README are `make demo` and `make test`. `make help` lists the rest.

SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)

SIM := cargo run --quiet --release -p mesh-simulations --bin simulations --

.PHONY: demo test bench-gossip bench-calls bench-llm bench-registry lint help setup

help:            ## this list
	@sed -n 's/^\([a-z-]*\): *[a-z]* *## /  make \1 — /p' $(MAKEFILE_LIST)

demo: setup      ## thirteen agents plan a trip, lose the model they prefer, and plan on: real processes; REAL=1 asks the vendors
	@echo "building the programs (the first time takes a few minutes)"
	@cargo build --quiet --locked --workspace --bins
	@examples/demo target/debug

test: setup      ## every test there is
	@.ci/test

bench-gossip: setup  ## the numbers of the gossip layer beside its peers; within an hour on two cores
	@$(SIM) bench --out target/bench/gossip.json

bench-calls: setup  ## the numbers of calls between agents beside their peers; about a quarter of an hour on two cores
	cargo build --release --locked -p mesh-tests --bin bench-calls -p meshctl --bin meshctl
	@# By itself, as its author would: what others want of its dependencies is not its size.
	cargo build --release --locked -p mesh-examples --bin hello-world
	@target/release/bench-calls $(BENCH)

bench-llm: setup ## the numbers of agents with models; a few minutes on two cores
	cargo build --locked --workspace --bins
	cargo build --release --locked -p mesh-trip-planner --bin trip-planner
	cargo build --release --locked -p mesh-tests --bin bench-llm
	@target/release/bench-llm $(BENCH)

bench-registry: setup ## a seed's registry API under two thousand agents that beat as stock ones do, and stock agents that are killed; about five minutes
	cargo build --release --locked -p mesh-tests --bin bench-registry -p meshctl --bin meshctl
	@target/release/bench-registry $(BENCH)

lint: setup      ## format, clippy, documentation, licences, advisories
	@.ci/lint

setup:           ## what the others need: a compiler and Rust; says what it installs
	@.ci/setup
