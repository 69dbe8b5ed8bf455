# Repligate, from nothing but Python 3.11 or newer and make.
#
#   make serve       start the gateway; ARGS="--port 9000" is passed on
#   make test        all tests; ARGS="-k stream" is passed on
#   make lint        style, types, import contracts, lock files
#   make test-all    all tests on every Python from 3.11 to 3.13 that is here
#   make test-smoke  the quick tests on the newest such Python but the one in .venv
#   make bench       ours beside a direct client, a bare relay and its peers, into docs/performance.md: a quarter of an hour
#   make bench-short ours beside a direct client, on the screen: a minute
#   make profile     the costliest functions of ours, for each request and for each relayed token
#   make growth      what a call costs with up to ten million ledger entries: six minutes
#   make soak        half an hour of mixed load, after which nothing may have grown; MINUTES=5 for less
#   make lock        new lock files, after pyproject.toml changed; ARGS="--upgrade" takes the newest of everything
#   make clean       remove what the other targets made
#
# Each target prints the plain commands it runs: without make, type those. PYTHON=python3.12 chooses the interpreter.

PYTHONS = python3.13 python3.12 python3.11 python3.14 python3
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
HAS_VENV = import ensurepip, venv

PYTHON ?= $(shell for each in $(PYTHONS); do \
    $$each -c '$(NEW_ENOUGH)' 2>/dev/null && $$each -c '$(HAS_VENV)' 2>/dev/null && echo $$each && break; done)

PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --require-hashes
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

.DELETE_ON_ERROR:
.PHONY: help serve test lint test-all test-smoke bench bench-short profile growth soak lock lock-check clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

serve: .venv/requirements.stamp
	.venv/bin/python -m gateway serve $(ARGS)

test: .venv/requirements-dev.stamp .venv-clients/requirements.stamp
	.venv/bin/python -m pytest -n auto --dist loadgroup $(ARGS)

lint: .venv/requirements-dev.stamp lock-check
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python tests/test_architecture.py

test-all: test
	.venv/bin/python tests/interpreters.py $(ARGS)

test-smoke: .venv/requirements-dev.stamp
	.venv/bin/python tests/interpreters.py --newest -m 'not slow' tests/adapters tests/gateway $(ARGS)

BENCHED = .venv/requirements.stamp .venv-peers/requirements.stamp benchmarks/peers/node_modules/.package-lock.json benchmarks/peers/debian/stamp

# What it needs is installed side by side, for that is a part of its quarter of an hour.
bench:
	@$(MAKE) --no-print-directory -j4 $(BENCHED)
	.venv/bin/python -m benchmarks $(ARGS)

bench-short: .venv/requirements.stamp
	.venv/bin/python -m benchmarks --short $(ARGS)

profile: .venv/requirements.stamp
	.venv/bin/python -m benchmarks profile $(ARGS)

growth: .venv/requirements.stamp
	.venv/bin/python -m benchmarks growth $(ARGS)

MINUTES = 30

soak: .venv/requirements.stamp
	.venv/bin/python -m benchmarks soak --minutes $(MINUTES) $(ARGS)

# Where nginx is not installed, Debian's is unpacked, and where that cannot be had either, a relay of our own is the floor.
benchmarks/peers/debian/stamp:
	@mkdir -p $(@D)
	command -v nginx || (cd $(@D) && apt-get download -qq nginx && dpkg -x nginx_*.deb .) || echo "no nginx: our own relay instead"
	@touch $@

benchmarks/peers/node_modules/.package-lock.json: benchmarks/peers/package-lock.json
	cd benchmarks/peers && npm ci --silent

lock: .venv/requirements-dev.stamp
	$(COMPILE) pyproject.toml -o requirements.lock $(ARGS)
	$(COMPILE) pyproject.toml --all-extras --group dev -c requirements.lock -o requirements-dev.lock $(ARGS)
	$(COMPILE) pyproject.toml --extra all -c requirements-dev.lock -o requirements-all.lock $(ARGS)
	$(COMPILE) --group clients -o requirements-clients.lock $(ARGS)
	$(COMPILE) --group peers -o requirements-peers.lock $(ARGS)
	.venv/bin/python tests/locks.py stamp

lock-check: .venv/requirements-dev.stamp
	.venv/bin/python tests/locks.py check

clean:
	rm -rf .venv .venv-* tests/clients/node/node_modules benchmarks/peers/node_modules benchmarks/peers/debian .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/requirements.stamp: requirements.lock | .venv/bin/python
	.venv/bin/python $(PIP_INSTALL) -r requirements.lock
	@touch $@

.venv/requirements-dev.stamp: requirements-dev.lock | .venv/bin/python
	.venv/bin/python $(PIP_INSTALL) -r requirements-dev.lock
	@touch $@

.venv-clients/requirements.stamp: requirements-clients.lock | .venv-clients/bin/python
	.venv-clients/bin/python $(PIP_INSTALL) -r requirements-clients.lock
	@touch $@

.venv-peers/requirements.stamp: requirements-peers.lock | .venv-peers/bin/python
	.venv-peers/bin/python $(PIP_INSTALL) -r requirements-peers.lock
	@touch $@

.venv/bin/python .venv-clients/bin/python .venv-peers/bin/python:
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv --clear $(@:/bin/python=)

# One sentence for whoever has no suitable Python: which one is missing, and what brings it.
define CHECK_PYTHON
for each in $(or $(PYTHON),$(PYTHONS)); do $$each -c '$(NEW_ENOUGH)' 2>/dev/null && found=$$each && break; done; \
if [ -z "$$found" ]; then \
    here=`$(or $(PYTHON),python3) -V 2>/dev/null || echo no $(or $(PYTHON),python3)`; \
    echo "Repligate needs Python 3.11 or newer and found $$here: install one and name it, as in make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; \
    exit 1; \
elif ! $$found -c '$(HAS_VENV)' 2>/dev/null; then \
    package=`$$found -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'`; \
    echo "$$found has no venv module: install it (on Debian and Ubuntu: apt install $$package) and run make $(MAKECMDGOALS) again" >&2; \
    exit 1; \
fi
endef
