# gtunnel for people who have its source. `make` alone says what there is.

# Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# The distribution's own Python and packages, and an environment that only looks at them.
DEBIAN_PYTHON ?= /usr/bin/python3
DEBIAN_VENV ?= .venv-debian
# Arguments for tests.bench, its soak or its million: make bench BENCH='--only handshake'
BENCH ?=
# Arguments for tools/install: --prefix, --root.
INSTALL ?=
# Arguments for pytest: make pytest TESTS="tests/gtunnel/conf -k grammar"
TESTS ?=
# What depends on the packages' versions. Left out for their time: netsetup's crashes at every step, the demo, the lab, and
# what shows the kernel's part of the gateway.
DEBIAN_TESTS ?= tests/test_builds.py tests/test_install.py tests/gtunnel/tls tests/gtunnel/tunnel tests/gtunnel/net tests/gtunnel/daemon \
	tests/gtunnel/cli tests/integration tests/netsetup/kernel tests/netsetup/backends tests/netsetup/test_inside.py \
	tests/netsetup/test_operations.py \
	$(addprefix --ignore=tests/integration/test_,gateway_pages.py many_transparent.py transparent.py)

.DEFAULT_GOAL := help
.PHONY: help demo test check manual matrix pytest pytest-debian venv venv-debian install install-debian uninstall clean packages \
	packages-test packages-debian vagrant-test vagrant-quick bench bench-quick soak million

help:
	@echo 'make demo    install gtunnel into $(VENV) and show what it does (as root: the gateway, too)'
	@echo 'make test    install what the tests need, run the checks, all tests, and on Debian what depends on its packages again'
	@echo 'make check   ruff, mypy, import-linter, and that every module has its test file'
	@echo 'make manual  docs/options.md and the manual pages, from the table of options and docs/man/*.md'
	@echo 'make matrix  docs/gateway-matrix.md, by seeing what each side of each transparent mode sees'
	@echo 'make pytest  the tests alone; TESTS="PATH -k WORD" for some of them'
	@echo 'make pytest-debian  tests with the packages of the distribution; DEBIAN_TESTS=tests for all (13 minutes)'
	@echo 'make venv    install gtunnel for development into $(VENV)'
	@echo 'make venv-debian    $(DEBIAN_VENV)/bin/gtunnel, which runs on the packages of the distribution alone'
	@echo 'make install, install-debian, uninstall    for a machine that is to run it: docs/install.md; as root'
	@echo 'make bench   gtunnel beside stunnel4, HAProxy, hitch and nginx: docs/benchmarks.md; bench-quick: three minutes of it'
	@echo 'make soak    half an hour of mixed load, which must not make it grow; million: so many connections through one worker'
	@echo 'make vagrant-test    the gateway on real kernels, in virtual machines (as root; docs/vagrant.md); vagrant-quick: a part'
	@echo 'make clean   remove what these made'

demo: packages $(VENV)/.installed
	@$(BIN)/gtunnel demo

test: packages-test
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory pytest
	@$(MAKE) --no-print-directory pytest-debian
	@echo 'Left out, for the time that it takes: the gateway on other kernels, in virtual machines (make vagrant-test).'
	@echo 'Its cases were tried in network namespaces, on this kernel (tests/test_vagrant.py).'

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy vagrant/*.py
	$(BIN)/lint-imports
	$(BIN)/python tests/check_layout.py

# As root; some minutes.
matrix: $(VENV)/.installed-test
	@$(BIN)/python -m tests.netsetup.matrix

manual:
	@$(PYTHON) tools/make-manual

pytest: $(VENV)/.installed-test
	@tools/run-pytest $(BIN)/python $(TESTS)

# Where those packages cannot be had, the script says so, and there is nothing to test.
pytest-debian: packages-test packages-debian
	@if tools/make-venv-debian '$(DEBIAN_PYTHON)' '$(DEBIAN_VENV)' test; then \
		echo 'Tests with the packages of the distribution:'; \
		GTUNNEL_BUILD=debian tools/run-pytest '$(DEBIAN_VENV)/bin/python' $(DEBIAN_TESTS); \
	elif [ $$? -eq 3 ]; then echo 'The tests with the packages of the distribution are left out.'; \
	else exit 1; fi

venv: packages-test $(VENV)/.installed-test

venv-debian: packages-debian
	@tools/make-venv-debian '$(DEBIAN_PYTHON)' '$(DEBIAN_VENV)'

install: packages
	@PYTHON='$(PYTHON)' tools/install $(INSTALL)

install-debian: packages-debian
	@tools/install --debian $(INSTALL)

uninstall:
	@tools/install --remove $(INSTALL)

# With nothing else to do for the machine.
bench: packages-bench
	@$(BIN)/python -m tests.bench --page docs $(BENCH)
	@$(BIN)/python -m tests.bench.idle --page docs

# The same page, with plots, where it does not take the place of better figures.
bench-quick: packages-bench
	@$(BIN)/python -m tests.bench --quick --page build/bench $(BENCH)

soak: packages-bench
	@$(BIN)/python -m tests.bench.soak --page docs $(BENCH)

million: packages-bench
	@$(BIN)/python -m tests.bench.million --page docs $(BENCH)

.PHONY: packages-bench
packages-bench: packages-test $(VENV)/.installed-bench
	@tools/install-packages bench

vagrant-test:
	@vagrant/test

vagrant-quick:
	@vagrant/test --quick

# Root gets what is missing from Debian; others are told.
packages:
	@tools/install-packages run

packages-test:
	@tools/install-packages run test

# Another distribution may have them under other names: make-venv-debian sees whether they are there.
packages-debian:
	@tools/install-packages debian || echo 'Some packages of the distribution could not be installed.'

$(VENV)/.installed: pyproject.toml tools/make-venv
	@tools/make-venv '$(PYTHON)' '$(VENV)' iptables
	@touch $@

$(VENV)/.installed-test: pyproject.toml tools/make-venv
	@tools/make-venv '$(PYTHON)' '$(VENV)' iptables test check
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml tools/make-venv
	@tools/make-venv '$(PYTHON)' '$(VENV)' iptables test check bench
	@touch $@ $(VENV)/.installed-test $(VENV)/.installed

clean:
	rm -rf '$(VENV)' '$(DEBIAN_VENV)' build dist .testbed *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find gtunnel netsetup tests -name __pycache__ -type d -prune -exec rm -rf {} +
