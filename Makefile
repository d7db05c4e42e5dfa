# Needs Python 3.11+ and nothing else: everything is installed into .venv from the committed lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m

.PHONY: demo test unit lint bench chaos setup servers docs clean

demo: $(VENV)/.ready ## the main job on embedded defaults: two versions, a balancer, a database, live traffic on 127.0.0.1
	$(RUN) changeover demo

test: $(VENV)/.ready servers ## every test; what needs a server that is not there is skipped, with a count
	$(RUN) pytest -q -n 3 --dist loadgroup

unit: $(VENV)/.ready
	$(RUN) pytest -q tests/unit

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready servers
	$(RUN) bench

chaos: $(VENV)/.ready servers ## seeded SIGKILLs on real servers, seeded bad days on AWS, every scenario on every stack; SEED=… repeats a run
	CHANGEOVER_CHAOS=full $(RUN) pytest -q -s tests/chaos tests/integration/test_demo.py tests/integration/test_by_hand.py

docs: $(VENV)/.ready ## write the generated pages of the reference again
	$(RUN) changeover.ui.reference docs/reference
	$(BIN)/python -c 'from changeover.config import render_reference as r; print(r(), end="")' > docs/reference/configuration.md

servers: ## HAProxy, Caddy, PostgreSQL and MariaDB for the tests: installed when apt may, otherwise named
	@sh tests/servers.sh

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "changeover needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --quiet --frozen --inexact --all-extras --compile-bytecode
	@touch $@

clean:
	rm -rf $(VENV) .changeover demo-run
