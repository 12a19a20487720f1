# The commands of a checkout. `make help` lists them; CONTRIBUTING.md explains them.

VENV := .venv
BIN := $(VENV)/bin
EXTRAS := postgres,server,fast,otel,dev
# What `make sim` replays, what `make test` and `make sim` hand to pytest, and what to measure.
SEED ?=
ARGS ?=
BENCH ?= --suite sqlite --reps 3 --out bench.jsonl
export PYTHON

# An environment is made again only when what it is made from changes.
INGREDIENTS := pyproject.toml constraints.txt .ci/environment
RUN_ENVIRONMENT := $(VENV)/.made-for-run
DEV_ENVIRONMENT := $(VENV)/.made-for-dev

.DEFAULT_GOAL := help
.PHONY: help demo test check format sim bench clean docs-check
.PHONY: check-format check-lint check-types check-api check-imports check-tidy check-wheel

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

$(RUN_ENVIRONMENT): $(INGREDIENTS)
	@.ci/environment $(VENV)
	@touch $@

$(DEV_ENVIRONMENT): $(INGREDIENTS)
	@.ci/environment $(VENV) $(EXTRAS)
	@touch $(RUN_ENVIRONMENT) $@

demo: $(RUN_ENVIRONMENT) ## Run the example that counts code
	@$(BIN)/python examples/code_census/run.py

test: $(DEV_ENVIRONMENT) ## Run every test; ARGS="-k lease" chooses
	$(BIN)/python -m pytest $(ARGS)

check: check-format check-lint check-types check-api check-imports check-tidy docs-check check-wheel ## Run every gate but the tests

check-format: $(DEV_ENVIRONMENT) ## Is everything formatted?
	$(BIN)/ruff format --check

check-lint: $(DEV_ENVIRONMENT) ## Ruff
	$(BIN)/ruff check

check-types: $(DEV_ENVIRONMENT) ## mypy --strict over src and tests
	$(BIN)/mypy

check-api: $(DEV_ENVIRONMENT) ## pyright: the public API is fully typed, and users' programs check
	PATH="$(abspath $(BIN)):$$PATH" pyright --ignoreexternal --verifytypes tenure
	$(BIN)/pyright

check-imports: $(DEV_ENVIRONMENT) ## Who may import whom
	$(BIN)/lint-imports --no-logo

check-tidy: $(DEV_ENVIRONMENT) ## The repository's own rules
	$(BIN)/python -m pytest -q tests/tidy

check-wheel: $(DEV_ENVIRONMENT) ## Build the wheel, install it bare, import and run it
	@.ci/wheel $(BIN)/python

docs-check: $(DEV_ENVIRONMENT) ## Are the generated pages up to date?
	$(BIN)/python -m tenure.config --check
	$(BIN)/python -m tenure.cli.reference --check
	$(BIN)/python -m tenure.observe.reference --check

format: $(DEV_ENVIRONMENT) ## Format, and mend what ruff can mend
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

sim: $(DEV_ENVIRONMENT) ## Simulate the whole system; SEED=17 replays one seed
	$(if $(SEED),TENURE_SIM_SEED=$(SEED)) $(BIN)/python -m pytest tests/sim $(ARGS)

bench: $(DEV_ENVIRONMENT) ## Measure; BENCH="--suite sqlite,postgres" chooses
	$(BIN)/python bench/run.py $(BENCH)

clean: ## Remove everything that was made, the environment too
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests bench docs examples -name __pycache__ -type d -prune -exec rm -rf {} +
