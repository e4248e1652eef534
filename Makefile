# Everything is built in .venv by plain venv and pip, from locked versions, and again only when
# those change. `make` alone lists what there is.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input

.DEFAULT_GOAL := help
.PHONY: help setup run test lint format bench lock clean

help:  ## List what make can do
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.development  ## Build the environment, with everything for development

run: $(VENV)/.runtime  ## Serve on http://127.0.0.1:8283 (options: make run ARGS="--port 9000")
	@exec $(BIN)/greenroom serve $(ARGS)

test: $(VENV)/.development  ## Run the tests (some of them: make test ARGS=tests/server)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.development  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.development  ## Put the style right
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.development  ## Measure a real server and write the tables
	@$(BIN)/python -m benchmarks $(ARGS)

lock: $(VENV)/.locker  ## Lock the newest versions that pyproject.toml allows
	@$(VENV)/locker/bin/uv pip compile -q --upgrade $(LOCK) pyproject.toml -o requirements.lock
	@$(VENV)/locker/bin/uv pip compile -q --upgrade $(LOCK) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:  ## Remove what was built
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

# One lock for every supported Python and system; hashes, no addresses.
LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	(3, 11) <= v < (3, 14) or sys.exit("Python 3.11, 3.12 or 3.13 is needed, not %d.%d: make PYTHON=python3.12" % v)'
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the server's dependencies (about 200 MB, once)"
	@$(PIP) install --progress-bar on --require-hashes -r requirements.lock
	@$(PIP) install --no-deps -e .
	@touch $@

$(VENV)/.development: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing what tests and checks need"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.locker: | $(VENV)/bin/python
	@$(PYTHON) -m venv $(VENV)/locker
	@$(VENV)/locker/bin/pip install -q uv
	@touch $@
