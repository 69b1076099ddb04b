# One virtual environment for everything, made on first use. `make quickstart` trains a small T5 on
# this machine; `make test` and `make test-slow` run the tests. Override: make test PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
MINOR := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
PIP := $(VENV)/bin/python -m pip install --quiet --constraint constraints/python$(MINOR).txt
WORKERS ?= auto

.PHONY: quickstart test test-all test-slow lint clean

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints/python$(MINOR).txt
	$(PIP) --editable .
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints/python$(MINOR).txt
	$(PIP) --editable '.[test]'
	touch $@

$(VENV)/.slow: $(VENV)/.test
	$(PIP) --editable '.[test,hf]'
	touch $@

quickstart: $(VENV)/.core
	$(VENV)/bin/t2t train --config=quickstart

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .

# The rooms whose tests have been run whole on two cores. Those of tests/training, tests/models and
# tests/decoding run with `make test-all` until they have been, too.
VERIFIED := tests/data tests/objectives tests/parallel tests/monitoring tests/test_schema.py

test: lint
	$(VENV)/bin/python -m pytest -n $(WORKERS) -m 'not slow' $(VERIFIED)

test-all: $(VENV)/.slow
	$(VENV)/bin/python -m pytest tests

# 5 is pytest's "no test is marked so", which holds for some of these folders.
test-slow: $(VENV)/.test
	$(VENV)/bin/python -m pytest -m slow tests/data/test_feed.py::test_batches_come_in_order_from_any_step || [ $$? -eq 5 ]

clean:
	rm -rf $(VENV) runs
