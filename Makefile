# Repligate, from nothing but Python 3.11 or newer and make.
#
#   make serve       start the gateway; ARGS="--port 9000" is passed on
#   make test        all tests; ARGS="-k stream" is passed on
#   make lint        style, types, import contracts, lock files
#   make test-all    all tests on every Python from 3.11 to 3.13 that is here
#   make test-smoke  the quick tests on every such Python but the one in .venv
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
.PHONY: help serve test lint test-all test-smoke lock lock-check clean

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
	.venv/bin/python tests/interpreters.py -m 'not slow' tests/adapters tests/gateway $(ARGS)

lock: .venv/requirements-dev.stamp
	$(COMPILE) pyproject.toml -o requirements.lock $(ARGS)
	$(COMPILE) pyproject.toml --all-extras --group dev -c requirements.lock -o requirements-dev.lock $(ARGS)
	$(COMPILE) --group clients -o requirements-clients.lock $(ARGS)
	.venv/bin/python tests/locks.py stamp

lock-check: .venv/requirements-dev.stamp
	.venv/bin/python tests/locks.py check

clean:
	rm -rf .venv .venv-* tests/clients/node/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/requirements.stamp: requirements.lock | .venv/bin/python
	.venv/bin/python $(PIP_INSTALL) -r requirements.lock
	@touch $@

.venv/requirements-dev.stamp: requirements-dev.lock | .venv/bin/python
	.venv/bin/python $(PIP_INSTALL) -r requirements-dev.lock
	@touch $@

.venv-clients/requirements.stamp: requirements-clients.lock | .venv-clients/bin/python
	.venv-clients/bin/python $(PIP_INSTALL) -r requirements-clients.lock
	@touch $@

.venv/bin/python .venv-clients/bin/python:
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
