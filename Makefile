# Needs Python 3.11 or newer, git and make. Everything else comes from the locks in requirements/.
# `make` alone lists the commands.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

# The locks are complete, so pip installs them as they are (--no-deps). Left to itself it would take
# the newest release for a name that some package asks for with extras, and fail for its hash.
#
# What is installed is noted in two stamps, so a second run does no set-up work. `make demo` needs
# the first only: a newcomer sees a value chosen before any type checker is fetched.
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev

# The algorithm and its memory: here the tests run every line and every branch.
FULLY_COVERED := errors proposal_id messages events quorum machine immutable node timing heartbeat \
    durable slots disk storage_errors

# These alone are measured: coverage makes a test two or three times slower.
CORE_TESTS := tests/core tests/durable
OTHER_TESTS = $(filter-out $(CORE_TESTS),$(wildcard tests/*)) benchmarks docs README.md

empty :=
space := $(empty) $(empty)
comma := ,
list = $(subst $(space),$(comma),$(strip $(1)))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

##@ See it work

.PHONY: demo
demo: $(RUNTIME) ## run the demonstration
	@$(BIN)/paxos demo

##@ Work on it

.PHONY: test
test: lint pytest ## the checks and the tests: what must pass before a change lands

.PHONY: lint
lint: $(DEV) ## style, types, floors, sizes
	@$(BIN)/ruff check --quiet --output-format concise
	@$(BIN)/ruff format --quiet --check || { echo "not in the standard form: run 'make format'"; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/basedpyright
	@floors=$$($(BIN)/lint-imports --no-logo) || { echo "$$floors"; exit 1; }
	@$(BIN)/python tools/check_source.py src tests tools $(wildcard benchmarks)

.PHONY: pytest
pytest: $(DEV) ## the tests alone, and how much of the code they run
	@$(BIN)/python -m pytest -q -n 2 -m 'not exhaustive and not long' --cov --cov-report= $(CORE_TESTS)
	@echo "coverage of the algorithm and its memory; 100 % is required:"
	@$(BIN)/coverage report --fail-under=100 --include='$(call list,$(FULLY_COVERED:%=src/paxos/%.py))'
	@$(BIN)/python -m pytest -q -n 2 -m exhaustive $(CORE_TESTS)
	@$(BIN)/python -m pytest -q -n 2 -m 'not long' $(OTHER_TESTS)

.PHONY: test-long
test-long: $(DEV) ## what takes minutes more, most of it to try a log
	@$(BIN)/python -m pytest -q -n 2 -m long tests

.PHONY: format
format: $(DEV) ## put the code into its standard form, and mend what can be mended
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format

.PHONY: mutants
mutants: $(DEV) ## small changes that no test notices; ONLY='paxos.node*' tries a part
	@$(BIN)/mutmut run $(if $(ONLY),'$(ONLY)')
	@$(BIN)/mutmut results

.PHONY: verify
verify: $(DEV) ## the large explorations and campaigns; writes docs/evidence.md (an hour and more)
	@$(BIN)/python tools/evidence.py $(CHAPTER)

.PHONY: bench
bench: $(DEV) ## measure, beside peers and limits, and print the ratios
	@mkdir -p .benchmarks
	@$(PIP) install --no-deps --require-hashes -r requirements/peers.txt
	@$(BIN)/python -m pytest benchmarks -q -o addopts=--import-mode=importlib --benchmark-only \
	    --benchmark-json=.benchmarks/latest.json
	@$(BIN)/python benchmarks/ratios.py .benchmarks/latest.json

##@ Set up

.PHONY: $(VENV)
$(VENV): $(DEV) ## the set-up alone
	@:

.PHONY: lock
lock: $(DEV) ## write the locks anew from pyproject.toml; UPGRADE=1 takes the newest of all
	@$(LOCK) --group dev $(if $(UPGRADE),--upgrade) --output-file requirements/dev.txt
	@$(LOCK) --group build --constraints requirements/dev.txt --no-annotate $(if $(UPGRADE),--upgrade) \
	    --output-file requirements/runtime.txt
	@$(LOCK_PEERS) $(if $(UPGRADE),--upgrade) --output-file requirements/peers.txt

# One lock for every platform and for Python 3.11 to 3.14.
LOCK_OPTIONS = --quiet --no-config --universal --python-version 3.11 --generate-hashes \
    --custom-compile-command 'make lock'
LOCK = $(BIN)/uv pip compile pyproject.toml $(LOCK_OPTIONS)
LOCK_PEERS = $(BIN)/uv pip compile --group peers --no-annotate $(LOCK_OPTIONS)

.PHONY: clean
clean: ## remove all that was made, the set-up included
	@rm -rf $(VENV) .coverage .coverage.* .benchmarks .hypothesis .import_linter_cache .mypy_cache \
	    .pytest_cache .ruff_cache dist htmlcov mutants
	@find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^[$$()A-Za-z_-]+:.*## / { sub(/^\$$\(VENV\)/, "$(VENV)"); printf "  make %-8s %s\n", $$1, $$2 }' \
	    $(firstword $(MAKEFILE_LIST))

$(RUNTIME): requirements/runtime.txt pyproject.toml
	@command -v '$(PYTHON)' >/dev/null || { \
	    echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, or name it:"; \
	    echo "    make PYTHON=/path/to/python3"; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Plain Paxos needs Python 3.11 or newer; '$(PYTHON)' is $$('$(PYTHON)' --version 2>&1)."; \
	    echo "Name a newer one: make PYTHON=python3.12"; exit 1; }
	@echo "setting up $(VENV) ..."
	@'$(PYTHON)' -m venv $(VENV) || { \
	    echo "Python could not make $(VENV). On Debian and Ubuntu, install the package python3-venv."; exit 1; }
	@$(PIP) install --no-deps --require-hashes --only-binary :all: -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	@echo "adding the tools for development ..."
	@$(PIP) install --no-deps --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@
