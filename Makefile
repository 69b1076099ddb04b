# One virtual environment for everything, made on first use. `make quickstart` trains a small T5 on
# this machine; `make test` and `make test-slow` run the tests. Override: make test PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
MINOR := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
PIP := $(VENV)/bin/python -m pip install --quiet --constraint constraints/python$(MINOR).txt
WORKERS ?= auto

.PHONY: quickstart test test-slow lint bench-environment clean

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

# The TPU compiler, in a folder of its own: in the environment jax would look for TPUs. Without it
# (no such wheel for this machine) its tests skip.
$(VENV)/.tpu: $(VENV)/.slow
	-$(PIP) --no-deps --target $(VENV)/tpu libtpu
	touch $@

quickstart: $(VENV)/.core
	$(VENV)/bin/t2t train --config=quickstart

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .

# A file's tests share what its fixtures train: --dist loadfile makes that once.
test: lint
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow' tests

# Torch as an oracle, gangs of processes, kills: one after the other, since each takes both cores.
test-slow: $(VENV)/.slow $(VENV)/.tpu
	$(VENV)/bin/python -m pytest -m slow --durations=15 tests

$(VENV)/.bench: $(VENV)/.slow
	$(PIP) --editable '.[test,bench]'
	touch $@

bench-environment: $(VENV)/.bench

clean:
	rm -rf $(VENV) runs
