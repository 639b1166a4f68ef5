# Two commands set everything up: `make demo` and `make test`.  Nothing is written outside this folder.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check compiled format lock bench clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

$(VENV)/.run: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: timewait needs Python 3.11 or later; this is $$($(PYTHON) --version 2>&1)" >&2; \
	    echo "hint:  name another one: make demo PYTHON=python3.12" >&2; exit 69; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.txt
	@touch $@

demo: $(VENV)/.run  ## the founding experiment on this machine's own kernel: both sides, then the matrix
	@PATH="$(abspath $(BIN)):$$PATH" sh scripts/demo

test: check  ## the checks and the whole test suite
	$(BIN)/pytest -n 4 --dist worksteal

check: $(VENV)/.test  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

compiled: $(VENV)/.test  ## the engine compiled by mypyc, and its tests run on that
	scripts/compile
	PYTHONPATH=build/compiled $(BIN)/pytest -n 4 tests/tcp tests/sim tests/bridge

format: $(VENV)/.test  ## mend what lint and format can mend by themselves
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## choose the pinned versions anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" requirements/run.in -o requirements/run.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" requirements/test.in -o requirements/test.txt

bench: $(VENV)/.test  ## ratios against named peers, in one run; a target missed is printed and told at the end
	$(BIN)/python bench/sockets.py
	$(BIN)/python bench/engine.py || true  # what pure Python does; the targets are held to the compiled engine
	scripts/compile
	PYTHONPATH=build/compiled $(BIN)/python bench/engine.py
	$(BIN)/python bench/doctor.py
	$(BIN)/python bench/scripts.py
	$(BIN)/python bench/forwarding.py
	$(BIN)/python bench/lifecycles.py

clean:  ## remove what make made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
