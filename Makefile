# The only command surface. `make` alone lists it. CI calls the same targets.
# `run` and `test` need a Rust toolchain and a C compiler; what another target needs it installs itself, pinned, into .tools/.
SHELL := /bin/bash
.DEFAULT_GOAL := help

TOOLS := $(CURDIR)/.tools
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
SAM := SAM_CLI_TELEMETRY=0 $(TOOLS)/infra/bin/sam
# What `make smoke` reads.
export STACK URL TOKEN_URL CLIENT_ID CLIENT_SECRET MODEL LIMIT_MODEL LIMIT_REQUESTS
FUZZ_SECONDS ?= 60
FUZZ_SEEDS := seeds $(wildcard $(foreach kind,requests responses answers streams,$(CURDIR)/shared/wire/tests/*/$(kind)))

.PHONY: help run test check format e2e e2e-agents e2e-watch infra bench build deploy destroy smoke fuzz model clean-tools

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1\t\2/' | expand -t 16

run: ## Run the gateway on 127.0.0.1:8787 with embedded defaults (ARGS="--config FILE" for your own)
	cargo run --locked -p tollgate-gateway --bin gateway -- serve $(ARGS)

test: ## Run the Rust tests of the whole workspace
	cargo test --locked --workspace

check: $(TOOLS)/bin/cargo-deny ## Format, lints, licences and banned crates, names that must not be committed
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
	$(TOOLS)/bin/cargo-deny --all-features check bans licenses sources
	tests/check-tree.sh

format: ## Format everything
	cargo fmt --all

e2e: ## The real binary with the official SDKs against mocks that others wrote (FRONT=alb, alb-single or url: as a Lambda function behind that door)
	cargo build --locked -p tollgate-gateway -p tollgate-rate-limiter -p tollgate-budget -p tollgate-test-servers
	TOLLGATE_E2E_FRONT=$(FRONT) tests/e2e/run.sh $(TESTS)

e2e-agents: ## Codex CLI, Claude Code, Gemini CLI, opencode and Continue's CLI through the gateway, one tool loop each (installs them into .tools/)
	cargo build --locked -p tollgate-gateway -p tollgate-test-servers
	tests/e2e/setup.sh agents
	tests/e2e/run.sh test_agents.py test_leaks.py $(TESTS)

e2e-watch: ## The gateway under `cargo lambda watch`, streaming by a function URL
	cargo build --locked -p tollgate-test-servers
	tests/e2e/setup.sh lambda
	TOLLGATE_E2E_WATCH=1 tests/e2e/run.sh test_watch.py

infra: ## Check the templates and test them against the code, without an AWS account (installs SAM, cfn-lint, checkov into .tools/)
	cargo build --locked -p tollgate-gateway -p tollgate-rate-limiter -p tollgate-budget
	tests/infra/run.sh

bench: ## Instructions per request, throughput beside a bare proxy, cold start (figures: docs/performance.md); needs valgrind
	cargo build --release --locked -p tollgate-gateway --no-default-features --features realtime,mimalloc
	cp target/release/gateway target/release/gateway-native
	cargo build --release --locked -p tollgate-gateway --no-default-features
	cargo build --release --locked -p tollgate-bench-hello
	cargo build --release --locked -p tollgate-bench
	target/release/bench all

build: ## The Lambda zips for x86-64 (ARCH=arm64 where that target is installed), the same bytes for the same commit
	tests/e2e/setup.sh lambda
	PATH="$(TOOLS)/venv/bin:$$PATH" infra/build.sh $(ARCH)

deploy: build ## Build and deploy to AWS by infra/samconfig.toml (PARAMS='Name=value ...' instead of its parameters); docs/operations.md
	tests/infra/run.sh tools
	$(SAM) deploy --config-file $(CURDIR)/infra/samconfig.toml --template-file infra/template.yaml $(if $(PARAMS),--parameter-overrides $(PARAMS))

destroy: ## Take the deployment away; asks first, and leaves the ledger's table
	tests/infra/run.sh tools
	$(SAM) delete --config-file $(CURDIR)/infra/samconfig.toml

smoke: ## Try a deployment: STACK=tollgate, or URL=... TOKEN_URL=... CLIENT_ID=... CLIENT_SECRET=... (and MODEL=... LIMIT_MODEL=...)
	@$(if $(STACK),tests/infra/run.sh tools && $(TOOLS)/infra/bin/python,python3) infra/smoke.py

fuzz: $(TOOLS)/bin/cargo-fuzz ## Fuzz every decoder for FUZZ_SECONDS each (needs a nightly toolchain)
	cd tests/fuzz && export PATH="$(TOOLS)/bin:$$PATH" && for target in $$(cargo fuzz list --fuzz-dir .); do mkdir -p corpus/$$target; \
	  cargo +nightly fuzz run --fuzz-dir . $$target corpus/$$target $(FUZZ_SEEDS) -- -max_total_time=$(FUZZ_SECONDS) -max_len=65536 || exit 1; done

model: ## Model-check the ledger's protocol (needs spin and a C compiler; result: tests/model/README.md)
	@command -v spin >/dev/null || { echo "needs spin: apt-get install spin" >&2; exit 1; }
	@for flags in "-DITEMS=1" "-DITEMS=1 -DOPEN" "-DN=1" "-DN=1 -DOPEN"; do \
	  out=$$(mktemp -d) && (cd $$out && spin -a $$flags $(CURDIR)/tests/model/ledger.pml >/dev/null && cc -w -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && \
	  ./pan -m400000 > log; echo "$$flags: $$(grep -oE 'errors: [0-9]+' log), $$(grep -oE '[0-9]+ states, stored' log)"; grep -q 'errors: 0' log) || exit 1; rm -r $$out; done

clean-tools: ## Remove what the targets above installed
	rm -rf $(TOOLS)

$(TOOLS)/bin/cargo-deny:
	cargo install --locked --root $(TOOLS) cargo-deny --version $(CARGO_DENY_VERSION)

$(TOOLS)/bin/cargo-fuzz:
	cargo install --locked --root $(TOOLS) cargo-fuzz --version $(CARGO_FUZZ_VERSION)
