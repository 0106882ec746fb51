# make quickstart, make test: each sets up what it needs on a machine that has Python 3.11 and nothing else.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.txt
STAMP := $(VENV)/.installed
BENCH_VENV := .venv-bench
DOCS_VENV := .venv-docs
SITE := site
WHEELHOUSE := wheelhouse
WHEELHOUSE_LOCK := requirements/runtime.txt
# Python compiles a module when it is first imported, unless it may not write the result.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)

.PHONY: help setup quickstart test browser lint types format lock bench-setup bench docs wheelhouse prove-offline clean python

help:
	@echo "make setup       an environment in $(VENV) with the locked packages"
	@echo "make quickstart  trains, scores, exports and annotates on a synthetic corpus (minutes, no data needed)"
	@echo "make test        every check: format, lint, types, tests"
	@echo "make browser     chromium, for the tests of the page (Debian, as root; other machines skip them)"
	@echo "make lock        resolves pyproject.toml again into requirements/*.txt"
	@echo "make bench-setup an environment of its own for benchmarks/ in $(BENCH_VENV)"
	@echo "make bench ENCODER=DIR RECORDS=FILE MODEL_DIR=DIR  a short form of the comparisons, with a picture in build/bench/"
	@echo "make docs        the documentation as a site in $(SITE)/, which opens without a network"
	@echo "make wheelhouse  every package and the project's wheel in $(WHEELHOUSE)/, for a machine without a network"
	@echo "make prove-offline ENCODER=DIR  installs, trains and serves from $(WHEELHOUSE)/ without a network"

python:
	@$(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 is needed, with its venv module, and '$(PYTHON)' is not that." >&2; \
	  echo "Get it:  Debian 12: apt-get install python3.11 python3.11-venv;  elsewhere: https://www.python.org/downloads/ or pyenv install 3.11" >&2; \
	  echo "Then name it:  make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }

# An environment in $(1) with the packages of the lock $(2). pip installs the locked uv, which installs the rest several
# times faster and checks the same hashes.
define packages
	$(PYTHON) -m venv $(1)
	sed -n '/^uv==/,/[^\\]$$/p' $(LOCK) | $(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --require-hashes $(COMPILE) -r $(2)
endef

# The same with this project.
define install
	$(call packages,$(1),$(2))
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation --editable .
	$(1)/bin/uv pip check --quiet --python $(1)/bin/python
endef

$(STAMP): $(LOCK) pyproject.toml | python
	$(call install,$(VENV),$(LOCK))
	@touch $@

setup: $(STAMP)

quickstart: $(STAMP)
	$(BIN)/python -m emr_ner_tf.cli.quickstart --work_dir=runs/quickstart

test: $(STAMP)
	$(MAKE) --jobs=3 browser lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The page is tested in Debian's chromium.
browser:
	@command -v chromium >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && timeout 240 sh -c \
	    'apt-get update && apt-get install --yes --no-install-recommends chromium' >/dev/null 2>&1; } || \
	  echo "chromium is not installed, and cannot be: the tests in a browser are skipped (with CI set, they fail)" >&2

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
	  --no-emit-index-url --extra serving --extra beam --extra uima --constraints requirements/dev.txt pyproject.toml \
	  -o requirements/runtime.txt
	$(BIN)/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*project["optional-dependencies"]["docs"], sep="\n")' | \
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	  --no-emit-index-url - -o requirements/docs.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	  --no-emit-index-url requirements/newest_tensorflow.in -o requirements/newest_tensorflow.txt

bench-setup: | python
	$(call install,$(BENCH_VENV),requirements/bench.txt)

bench:
	[ -x $(BENCH_VENV)/bin/python ] || $(MAKE) bench-setup
	$(BENCH_VENV)/bin/python benchmarks/short.py --encoder=$(ENCODER) --records=$(RECORDS) --model_dir=$(MODEL_DIR) \
	  --output_dir=build/bench

# The site needs none of the project's own packages: docs/api.md is in the checkout.
$(DOCS_VENV)/.installed: requirements/docs.txt | python
	$(call packages,$(DOCS_VENV),requirements/docs.txt)
	@touch $@

docs: $(DOCS_VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --clean --site-dir $(abspath $(SITE))
	$(DOCS_VENV)/bin/python docs/check_site.py $(SITE)

# pip checks the hashes of the lock, and builds here what is published as source only.
wheelhouse: | python
	rm -rf build
	$(PYTHON) -m venv build/pip
	build/pip/bin/python -m pip wheel --quiet --disable-pip-version-check --require-hashes -r $(WHEELHOUSE_LOCK) -w $(WHEELHOUSE)
	build/pip/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w $(WHEELHOUSE) .
	$(PYTHON) requirements/hash_wheels.py $(WHEELHOUSE)

prove-offline:
	@[ -n "$(ENCODER)" ] || { echo "name an encoder's directory:  make prove-offline ENCODER=DIR" >&2; exit 1; }
	PYTHON=$(PYTHON) tests/offline/prove_offline.sh $(WHEELHOUSE) $(ENCODER)

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(DOCS_VENV) $(SITE) $(WHEELHOUSE) runs build *.egg-info
