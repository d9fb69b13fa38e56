# Everything happens in .venv, and in .venv-lowest for test-lowest; nothing is installed
# outside this folder.
# TORCH is what the tests of measuring and replaying run on; any build does, such as one
# for your GPU.
TORCH ?= torch==2.13.0
# Of make fuzz: how many cases, and what they are drawn from.
N ?= 10000
SEED ?= 0
# Of make mutants: how many, drawn from SEED too.
MUTANTS ?= 1000
# Of make test-wheel: the Python that it installs the wheel for. TORCH= leaves PyTorch
# out; the tests that need it skip.
WHEEL_PYTHON ?= $(PYTHON)
VENV := .venv
BIN := $(VENV)/bin
# The oldest releases are made for the oldest Python.
LOWEST := .venv-lowest
LOWEST_PYTHON ?= python3.11
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)

.PHONY: run test test-long fuzz mutants coverage test-lowest test-wheel test-gpu bench \
	limits compare check docs figures clean

run: $(VENV)/.run        ## the main job: campus scenario, six solvers, pictures
	$(BIN)/edgesim run traces/campus.toml --out results/campus

test: $(VENV)/.dev       ## every test but the long random campaigns
	$(BIN)/edgesim compile
	$(BIN)/python -m pytest -n 2 -m "not long and not gpu"

test-long: $(VENV)/.dev  ## the long random campaigns
	$(BIN)/python -m pytest -m long -s

fuzz: $(VENV)/.dev       ## N damaged files of all formats, drawn from SEED
	$(BIN)/python -m tests.fuzz --cases $(N) --seed $(SEED)

mutants: $(VENV)/.dev    ## MUTANTS faults put into the code, each against its tests
	$(BIN)/python -m tests.mutation --mutants $(MUTANTS) --seed $(SEED)

coverage: $(VENV)/.dev   ## the lines that the tests run; those that need a GPU apart
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n 2 -m "not long and not gpu"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m tests.covered

test-wheel: $(VENV)/.dev ## the wheel in a fresh environment outside this folder
	$(BIN)/python -m tests.installed --python $(WHEEL_PYTHON) \
		$(if $(TORCH),--torch $(TORCH))

test-lowest: $(LOWEST)/.dev ## the tests with the oldest release of every dependency
	$(LOWEST)/bin/python -m pytest -n 2 -m "not long and not gpu"

test-gpu: $(VENV)/.dev   ## what takes a CUDA GPU, on the torch build that TORCH names
	$(BIN)/python -m pytest -m gpu -s

bench: $(VENV)/.dev      ## speed and memory; prints tables, never fails on time
	$(BIN)/python -m tests.benchmarks

limits: $(VENV)/.dev     ## what the largest inputs take; half an hour and 8 GB of disk
	$(BIN)/python -m tests.benchmarks.limits

compare: $(VENV)/.dev    ## all solvers and their peers on tests/instances; two hours
	$(BIN)/python -m tests.benchmarks.compare --groups all --time-limit 5

check: $(VENV)/.dev      ## what a person forgets: lint, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) test

docs: $(VENV)/.dev       ## the manual as a site in site/; open site/index.html
	$(BIN)/python docs/site/commands.py
	$(BIN)/python -m mkdocs build --quiet

figures: $(VENV)/.run    ## the committed figures; FRESH=1 computes every point anew
	for f in figures/*.toml; do \
		$(BIN)/edgesim figure $$f --store results/.points $(if $(FRESH),--fresh) || exit 1; \
	done

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -c 'import torch' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,profile]'
	touch $@ $(VENV)/.run

$(LOWEST)/.dev: pyproject.toml tests/lowest.txt
	$(LOWEST_PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check \
		-c tests/lowest.txt $(TORCH) -e '.[dev,profile]'
	touch $@

clean:
	rm -rf results build dist site .coverage .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis
