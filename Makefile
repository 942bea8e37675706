# The one door to this repository. `make` lists what it opens.
#
# Needs Python 3.11 or later and make; everything else goes into .venv.
# `fmt`, `proto` and `docs` write; `lint`, `type` and the tests never do.

VENV   := .venv
PYTHON := $(VENV)/bin/python
STAMP  := $(VENV)/.installed

# The interpreter that makes the venv; `make setup BOOT=/path/to/python3` chooses another.
BOOT ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
PIP := $(PYTHON) -m pip --disable-pip-version-check --quiet

# Two processes, because the smallest machine we promise anything on has two cores.
JOBS   ?= 2
PYTEST := $(PYTHON) -m pytest
XDIST  := -n $(JOBS) --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help setup $(VENV) fmt lint type proto proto-check docs docs-check \
	test test-unit test-lua test-integration test-e2e test-chaos bench demo approval agent callback dev clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install everything into it (once)

$(VENV): $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { \
		boot="$(BOOT)"; \
		test -n "$$boot" || { echo "Python 3.11 or later was not found; on Debian: apt install python3 python3-venv" >&2; exit 1; }; \
		$$boot -c 'import ensurepip' 2>/dev/null || { \
			echo "$$boot cannot create a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }; \
		echo "creating $(VENV) with $$($$boot --version)"; \
		$$boot -m venv --clear $(VENV); }
	@echo "installing into $(VENV)"
	@$(PIP) install -e '.[dev]' -c constraints.txt
	@touch $@

$(STAMP)-bench: $(STAMP)
	@$(PIP) install -e '.[bench]' -c constraints.txt
	-@$(PYTHON) -m bench.peers.fetch
	@touch $@

fmt: $(STAMP) ## Format the code and apply the safe fixes
	$(PYTHON) -m ruff check --fix-only --quiet
	$(PYTHON) -m ruff format

lint: $(STAMP) type proto-check docs-check ## Check style, types, imports and generated files; writes nothing
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(VENV)/bin/lint-imports --no-logo
	$(if $(wildcard tools/check_lua.py),$(PYTHON) tools/check_lua.py)
	$(PYTHON) tools/check_tree.py

type: $(STAMP) ## Check types (mypy, strict)
	$(PYTHON) -m mypy
	$(PYTHON) -m mypy tools

proto: $(STAMP) ## Generate proto/gen from the protos
	$(PYTHON) tools/generate_proto.py

proto-check: $(STAMP) ## Check that proto/gen is what the protos say
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT \
	&& $(PYTHON) tools/generate_proto.py "$$fresh" \
	&& diff -r -x __pycache__ proto/gen/flowfabric_api "$$fresh/flowfabric_api" \
	|| { echo "proto/gen is not what the protos say: run make proto" >&2; exit 1; }

docs: $(STAMP) ## Generate the pages of docs/reference that come from code
	$(PYTHON) tools/generate_docs.py

docs-check: $(STAMP) ## Check that the generated pages are current
	$(PYTHON) tools/generate_docs.py --check

test: $(STAMP) ## Run every ring but chaos (ARGS="-k lease" passes on to pytest)
	$(PYTEST) $(XDIST) tests/unit tests/lua tests/integration tests/e2e $(ARGS)

test-unit: $(STAMP) ## Run the tests that touch nothing
	$(PYTEST) tests/unit $(ARGS)

test-lua: $(STAMP) ## Run the function library in-process
	$(PYTEST) tests/lua $(ARGS)

test-integration: $(STAMP) ## Run the tests on a real Valkey, alone and as a cluster
	$(PYTEST) $(XDIST) tests/integration $(ARGS)

test-e2e: $(STAMP) ## Run the tests on real processes
	$(PYTEST) $(XDIST) tests/e2e $(ARGS)

test-chaos: $(STAMP) ## Kill, freeze and cut processes under load, then check the invariants
	$(PYTEST) tests/chaos $(ARGS)

bench: $(STAMP)-bench ## Measure; prints a table and writes bench/results
	$(PYTHON) -m bench $(ARGS)

demo: $(STAMP) ## Index the files of a directory while workers get killed (DIR=path)
	$(PYTHON) -m examples.index_files.demo $(if $(DIR),--dir "$(DIR)")

approval: $(STAMP) ## Deploy once two people approve, while nothing runs (ARGS=--reject)
	$(PYTHON) -m examples.approval.run $(ARGS)

agent: $(STAMP) ## Answer a question with tools, streamed words and a review (ARGS="--base-url URL")
	$(PYTHON) -m examples.agent.run $(ARGS)

callback: $(STAMP) ## Sell something that is paid through a webhook
	$(PYTHON) -m examples.callback.run $(ARGS)

dev: $(STAMP) ## Run the whole stack here until Ctrl-C
	$(VENV)/bin/flowfabric dev $(ARGS)

clean: ## Remove caches and build output; .venv stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +
