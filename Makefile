# Set-up, demo and tests; everything lives in .venv and in folders that git ignores.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
# Python compiles what is imported, once; pip would compile everything.
INSTALL := $(PIP) install --quiet --no-compile --constraint constraints.txt

.PHONY: help demo test test-long test-apart fuzz lint docs examples bundles benchmarks recipes clean-demo

help:
	@echo "make demo        set up, then five-fold MedMamba on chest X-rays, tracked in MLflow (5 to 10 minutes on two cores)"
	@echo "make test        set up, then the tests (12 to 13 minutes on two slow cores)"
	@echo "make test-long   the tests that run for seconds each what those hold in parts (4 to 5 minutes on two slow cores)"
	@echo "make test-apart  what compiles for other machines, measures speed, or runs a notebook (5 minutes on two cores)"
	@echo "make fuzz        the tests that make up their inputs, with a thousand inputs each (EXAMPLES=10000 for more)"
	@echo "make lint        ruff and mypy"
	@echo "make docs        the documents as a site, docs/_build/html/index.html (Python 3.11 or later)"
	@echo "make examples    run the notebooks again and keep what they print"
	@echo "make bundles     generate bundles/ again from the configs and the cards"
	@echo "make benchmarks  measure speed, memory and the scan's accuracy, and write the documents' tables (an hour on two cores)"
	@echo "make recipes     cross-validate networks and recipes, and write the documents' comparison (an hour or two on two cores)"
	@echo "make clean-demo  remove what the demo made, to run it from the start"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Setting up $(VENV): about 2 GB of packages, a few minutes, once"
	$(INSTALL) --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Setting up $(VENV) with what tests need: about 4 GB of packages, some minutes, once"
	$(INSTALL) --editable ".[dev]"
	touch $(VENV)/.installed $@

demo: $(VENV)/.installed
	$(VENV)/bin/python -m medmamba_monai demo

test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest

TESTS ?=
test-long: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -m long $(TESTS)

test-apart: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -m apart $(TESTS)

EXAMPLES ?= 1000
fuzz: $(VENV)/.installed-dev
	FUZZ_EXAMPLES=$(EXAMPLES) $(VENV)/bin/python -m pytest -m hypothesis --hypothesis-profile fuzz --timeout 7200

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

docs: $(VENV)/.installed-dev
	$(VENV)/bin/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html
	@echo "built: docs/_build/html/index.html"

examples: $(VENV)/.installed-dev
	$(VENV)/bin/python examples/execute.py

bundles: $(VENV)/.installed
	$(VENV)/bin/python -m medmamba_monai.bundle

benchmarks: $(VENV)/.installed-dev
	$(VENV)/bin/python -m benchmarks.scan --json benchmarks/results/scan.json
	$(VENV)/bin/python -m benchmarks.model --json benchmarks/results/model.json
	$(VENV)/bin/python -m benchmarks.baselines --json benchmarks/results/baselines.json
	$(VENV)/bin/python -m benchmarks.loading --json benchmarks/results/loading.json
	$(VENV)/bin/python -m benchmarks.augmentation --json benchmarks/results/augmentation.json
	$(VENV)/bin/python -m benchmarks.explain --json benchmarks/results/explain.json
	$(VENV)/bin/python -m benchmarks.growth --json benchmarks/results/growth.json --figure docs/images/growth
	$(VENV)/bin/python -m benchmarks.exports --json benchmarks/results/exports.json
	$(VENV)/bin/python -m benchmarks.pages

recipes: $(VENV)/.installed-dev
	$(VENV)/bin/python -m benchmarks.recipes
	$(VENV)/bin/python -m benchmarks.coverage --json benchmarks/results/coverage.json
	$(VENV)/bin/python -m benchmarks.pages

clean-demo:
	rm -rf bundles/pneumoniamnist/output/demo bundles/phantom/output/demo
