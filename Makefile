# The two commands of the README are `make demo` and `make test`. `make help` lists the rest.

SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)

SIM := cargo run --quiet --release -p mesh-simulations --bin simulations --

.PHONY: demo test bench-gossip lint help setup

help:            ## this list
	@sed -n 's/^\([a-z-]*\): *[a-z]* *## /  make \1 — /p' $(MAKEFILE_LIST)

demo: setup      ## a simulated mesh is cut in two and heals; prints where its report is
	@echo "building the simulator (optimised; the first time takes a few minutes)"
	@mkdir -p target/demo
	@$(SIM) run partition-heal --html target/demo/partition-heal.html; held=$$?; \
		echo "report: file://$(CURDIR)/target/demo/partition-heal.html"; exit $$held

test: setup      ## every test there is
	cargo test --workspace --locked

bench-gossip: setup  ## the numbers of the gossip layer beside its peers; within an hour on two cores
	@$(SIM) bench --out target/bench/gossip.json

lint: setup      ## format, clippy, documentation, licences, advisories
	@.ci/lint

setup:           ## what the others need: a compiler and Rust; says what it installs
	@.ci/setup
