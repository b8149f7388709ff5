# Every command sets up what it needs: a virtual environment with the locked dependencies.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ONCE ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check bench faults interop docs lock format clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("pushpki needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.service: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes --requirement requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.development: requirements-dev.lock $(VENV)/.service
	$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

demo: $(VENV)/.service ## Walk the whole story in front of you (ONCE=1: exit after it)
	@$(BIN)/pushpki demo $(if $(ONCE),--once)

test: $(VENV)/.development ## Run the tests; needs nothing but Python (PostgreSQL comes from a wheel)
	$(BIN)/pytest -q --numprocesses auto --dist worksteal

check: $(VENV)/.development ## Formatting, lint, types, directions, the wheel
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python deploy/check_wheel.py

bench: $(VENV)/.development ## Measure the numbers of the README and print them as tables
	sh deploy/install-bench-tools.sh
	$(BIN)/python -m bench

$(VENV)/.faults: requirements-faults.lock $(VENV)/.development
	$(PIP) install --require-hashes --requirement requirements-faults.lock
	@touch $@

faults: $(VENV)/.faults ## The long runs: crashes, races, attacks, parsers with 10,000 examples each, a minute of fuzzing
	$(BIN)/python -m tests.faults.fuzz_ldap 60
	$(BIN)/pytest -q --long tests/faults tests/attacks tests/contracts/test_races.py tests/ca/test_address.py tests/directory/ldap

interop: $(VENV)/.development ## The real programs: ldapsearch, openssl, curl, NSS, GnuPG, GnuTLS, Java, Chromium
	sh deploy/install-interop-tools.sh
	$(BIN)/pytest -q tests/interop -rs

docs: $(VENV)/.development ## Write what is generated: the reference of the configuration
	$(BIN)/python docs/generate.py

UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

lock: $(BIN)/python ## Pin every dependency anew, with hashes
	$(PIP) install 'uv~=0.13'
	$(UV_COMPILE) --group pyproject.toml:build pyproject.toml --output-file requirements.lock
	$(UV_COMPILE) --group pyproject.toml:dev pyproject.toml --constraint requirements.lock --output-file requirements-dev.lock
	$(UV_COMPILE) --group pyproject.toml:faults --output-file requirements-faults.lock

format: $(VENV)/.development ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
