# Each target makes what it needs inside .venv; nothing else has to be installed first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests and benchmarks start many programs, each of which would compile anew all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all torture lint bench screenshots docs pages clean mutants
.DEFAULT_GOAL := demo

$(VENV)/.base: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "unspool needs Python 3.11 or newer: set PYTHON=python3.11 (found $$($(PYTHON) --version))" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable '.[test,lint]'
	@touch $@

$(VENV)/.bench: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks.pythons
	@touch $@

$(VENV)/.screenshots: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable '.[screenshots]'
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

TESTS_OF_ROOM := $(if $(ROOM),$(wildcard tests/unit/$(ROOM) tests/$(ROOM)))
ROOMS := $(sort $(notdir $(patsubst %/,%,$(filter-out tests/unit/__pycache__/,$(wildcard tests/unit/*/))))) tui journeys torture

demo: $(VENV)/.base  ## a small program records itself; the UI follows it live
	@$(BIN)/unspool demo

test: $(VENV)/.test  ## the whole test suite; ROOM=query only the tests of one room, with few examples
ifdef ROOM
	@test -n "$(TESTS_OF_ROOM)" || { echo "there is no room $(ROOM); there are: $(ROOMS)" >&2; exit 1; }
	HYPOTHESIS_PROFILE=$(or $(HYPOTHESIS_PROFILE),work) $(BIN)/python -m pytest -n 2 $(TESTS_OF_ROOM)
else
	$(BIN)/python -m pytest -n 3
endif

test-all: $(VENV)/.test $(VENV)/.docs  ## the slow tests too, and all examples of the others
	HYPOTHESIS_PROFILE=all $(BIN)/python -m pytest -n 2 -m 'slow or not slow'

torture: $(VENV)/.test  ## attack what is promised for MINUTES, with the cases that SEED gives; CAMPAIGNS="flips cuts" are some of them
	@cd tests && ../$(BIN)/python -m torture --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED)) $(CAMPAIGNS)

lint: $(VENV)/.lint  ## style, types, layers, circles and names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tests/house.py

$(VENV)/.mutants: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable '.[test,mutants]'
	@touch $@

mutants: $(VENV)/.mutants  ## change one thing at a time in the modules that answers rest on; ARGS='codec/records --sample 40'
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/mutation/run.py $(ARGS)

bench: $(VENV)/.bench  ## measure against peers, side by side
	$(BIN)/python -m benchmarks

screenshots: $(VENV)/.screenshots  ## draw screenshots/ anew
	$(BIN)/python screenshots/make.py

pages: $(VENV)/.base  ## write docs/keys.md and docs/man anew, which come from the tables of keys and commands
	$(BIN)/python -m unspool_tui.reference_pages keys > docs/keys.md
	$(BIN)/python -m unspool_tui.reference_pages man docs/man

docs: $(VENV)/.docs  ## the pages of docs/ as a site in build/site, which needs no network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet -f .github/mkdocs.yml

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis snapshot_report.html
