# make quickstart, make test: each sets up what it needs on a machine that has Python 3.11 and nothing else.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.txt
STAMP := $(VENV)/.installed
BENCH_VENV := .venv-bench
# Python compiles a module when it is first imported, unless it may not write the result.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)

.PHONY: help setup quickstart test lint types format lock bench-setup clean python

help:
	@echo "make setup       an environment in $(VENV) with the locked packages"
	@echo "make quickstart  trains, scores, exports and annotates on a synthetic corpus (minutes, no data needed)"
	@echo "make test        every check: format, lint, types, tests"
	@echo "make lock        resolves pyproject.toml again into requirements/*.txt"
	@echo "make bench-setup an environment of its own for benchmarks/ in $(BENCH_VENV)"

python:
	@$(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 is needed, with its venv module, and '$(PYTHON)' is not that." >&2; \
	  echo "Get it:  Debian 12: apt-get install python3.11 python3.11-venv;  elsewhere: https://www.python.org/downloads/ or pyenv install 3.11" >&2; \
	  echo "Then name it:  make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }

# An environment in $(1) with the packages of the lock $(2). pip installs the locked uv, which installs the rest several
# times faster and checks the same hashes.
define install
	$(PYTHON) -m venv $(1)
	sed -n '/^uv==/,/[^\\]$$/p' $(LOCK) | $(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --require-hashes $(COMPILE) -r $(2)
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation --editable .
	$(1)/bin/uv pip check --quiet --python $(1)/bin/python
endef

$(STAMP): $(LOCK) pyproject.toml | python
	$(call install,$(VENV),$(LOCK))
	@touch $@

setup: $(STAMP)

quickstart: $(STAMP)
	$(BIN)/python -m emr_ner_tf.cli.quickstart --work_dir=runs/quickstart

test: $(STAMP) lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/pyright

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Not on the stamp: what pyproject.toml newly asks for is not in the lock yet.
lock: | python
	[ -x $(BIN)/uv ] || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; }
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	  --no-emit-index-url --extra dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	  --no-emit-index-url --extra bench pyproject.toml -o requirements/bench.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	  --no-emit-index-url requirements/newest_tensorflow.in -o requirements/newest_tensorflow.txt

bench-setup: | python
	$(call install,$(BENCH_VENV),requirements/bench.txt)

clean:
	rm -rf $(VENV) $(BENCH_VENV) runs build *.egg-info
