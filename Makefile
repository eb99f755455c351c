# snlab: make demo and make test do everything on a fresh machine with Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Tests run in parallel, one process a core, each of one thread.
JOBS ?= auto

.PHONY: demo test check gpu pictures lint format clean help
.DEFAULT_GOAL := help

help:  ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/'

demo: $(INSTALLED)  ## install, train four normalizers on embedded real data, write runs/demo/report.html
	$(BIN)/snlab demo

test: $(INSTALLED) lint  ## install, lint, run every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

check: $(INSTALLED) lint  ## lint and the quick tests: no whole runs, no processes of their own
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow and not gpu"

gpu: $(INSTALLED)  ## on a machine with a GPU: the tests that want one, then the speed beside a plain loop
	$(BIN)/python -m pytest -n 0 -m gpu
	$(BIN)/python -m benchmarks --device cuda

pictures: demo  ## the README's pictures, of the demo's page; wants Chromium
	$(BIN)/python tools/pictures.py

lint: $(INSTALLED)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)  ## let ruff put the files in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what was built, not what was run
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@
