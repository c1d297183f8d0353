# gtunnel for people who have its source. `make` alone says what there is.

# Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Arguments for pytest: make pytest TESTS="tests/gtunnel/conf -k grammar"
TESTS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check pytest venv clean packages packages-test

help:
	@echo 'make demo    install gtunnel into $(VENV) and show what it does (as root: the gateway, too)'
	@echo 'make test    install what the tests need, run the checks and all tests'
	@echo 'make check   ruff, mypy, import-linter, and that every module has its test file'
	@echo 'make pytest  the tests alone; TESTS="PATH -k WORD" for some of them'
	@echo 'make venv    install gtunnel for development into $(VENV)'
	@echo 'make clean   remove what these made'

demo: packages $(VENV)/.installed
	@$(BIN)/gtunnel demo

test: packages-test
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory pytest

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/check_layout.py

pytest: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(TESTS)

venv: packages-test $(VENV)/.installed-test

# Root gets what is missing from Debian; others are told.
packages:
	@tools/install-packages run

packages-test:
	@tools/install-packages run test

$(VENV)/.installed: pyproject.toml tools/make-venv
	@tools/make-venv '$(PYTHON)' '$(VENV)' iptables
	@touch $@

$(VENV)/.installed-test: pyproject.toml tools/make-venv
	@tools/make-venv '$(PYTHON)' '$(VENV)' iptables test check
	@touch $@ $(VENV)/.installed

clean:
	rm -rf '$(VENV)' build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find gtunnel netsetup tests -name __pycache__ -type d -prune -exec rm -rf {} +
