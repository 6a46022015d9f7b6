# Each target does its own set-up: a virtual environment in .venv, pinned by constraints.txt.
PYTHON ?= python3
SCALE  ?= quick
# The address of a dask scheduler whose workers run the experiments, if any: tcp://host:8786
CLUSTER ?=
VENV   := .venv
BIN    := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
PIP    := $(BIN)/pip --disable-pip-version-check --quiet install --no-compile --constraint $(CONSTRAINTS)

# pip compiles on one core, and where PYTHONDONTWRITEBYTECODE is set nothing is compiled later. Half of
# what is installed are tests, which nobody imports, as nobody does pip and setuptools after this.
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '/(tests|setuptools|pip)/' $(VENV)/lib *.py \
           reductions compressors protocols runs experiments figures cli || true

.DEFAULT_GOAL := help
.PHONY: help install experiments test soak lint types bench regress docs consoles site gallery engines engines-source test-engines clean

help:
	@echo "make experiments   set up, run every experiment (SCALE=quick|full), redraw the pictures, print the claims"
	@echo "make test          set up and run the tests"
	@echo "make lint          ruff and mypy --strict"
	@echo "make regress       re-measure the committed baselines message by message"
	@echo "make bench         speed as ratios against named peers"
	@echo "make soak          the long tests: fifty real kills"
	@echo "make engines       install other people's caches in .engines and attack them (about 10 GB)"
	@echo "make engines/NAME  one of them alone: $(ENGINES)"
	@echo "make test-engines  their tests, each in its own environment"
	@echo "make engines-source  build llama-cpp-python beside the prebuilt binding (minutes)"
	@echo "make docs          rewrite the generated pages"
	@echo "make consoles      run again what the README shows on a console (a deliberate step)"
	@echo "make site          the docs as a site in _site/, checked in a browser if there is one"
	@echo "make gallery       replace the committed pictures by the last results (a deliberate step)"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "kvbarrier needs Python 3.11 or newer: try make PYTHON=python3.11")'
	@echo "setting up $(VENV) (once)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml setup.py __init__.py $(CONSTRAINTS) | $(VENV)/bin/python
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable .
	@$(COMPILE)
	@touch $@

$(VENV)/.test: $(VENV)/.core
	@$(PIP) --no-build-isolation --editable '.[test]'
	@$(COMPILE)
	@touch $@

$(VENV)/.site: $(VENV)/.test
	@$(PIP) --no-build-isolation --editable '.[test,site]'
	@touch $@

$(VENV)/.lint: $(VENV)/.core
	@$(PIP) --no-build-isolation --editable '.[lint]'
	@touch $@

install: $(VENV)/.core

experiments: $(VENV)/.core
	@$(BIN)/kvbarrier experiments run all --scale $(SCALE) --out results/$(SCALE) $(if $(CLUSTER),--cluster $(CLUSTER))

test: $(VENV)/.test
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile

soak: $(VENV)/.test
	@$(BIN)/python -m pytest -q -m soak

site: $(VENV)/.site
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs _site/html
	@$(BIN)/python -m pytest -q -m site tests/docs/test_site.py
	@echo "_site/html/index.html"

lint: $(VENV)/.lint types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

types: $(VENV)/.lint
	@mkdir -p .types && ln -sfn .. .types/kvbarrier
	@MYPYPATH=.types $(BIN)/mypy -p kvbarrier

regress: $(VENV)/.core
	@$(BIN)/kvbarrier regress

bench: $(VENV)/.core
	@$(BIN)/python benchmarks/run.py

docs: $(VENV)/.core
	@$(BIN)/python docs/generate.py

consoles: $(VENV)/.core
	@$(BIN)/python docs/consoles.py

gallery: $(VENV)/.core
	@$(BIN)/python -m kvbarrier.figures.update_gallery results/$(SCALE)

# Every engine has an environment of its own: their pins exclude one another. PyPI's torch is a CUDA
# build; TORCH_INDEX=https://download.pytorch.org/whl/cpu takes the CPU build from there.
ENGINES := $(patsubst compressors/engines/%/pins.txt,%,$(wildcard compressors/engines/*/pins.txt))
TORCH_INDEX ?=

.engines/%/.done: compressors/engines/%/pins.txt pyproject.toml
	@echo "setting up .engines/$* (once)" >&2
	@$(PYTHON) -m venv .engines/$*
	@.engines/$*/bin/pip --disable-pip-version-check --quiet install 'setuptools>=77'
	@.engines/$*/bin/pip --disable-pip-version-check --quiet install --no-deps \
	    $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --requirement compressors/engines/$*/pins.txt
	@for pin in $$(grep -sv '^#' compressors/engines/$*/pins-apart.txt); do \
	    .engines/$*/bin/pip --disable-pip-version-check --quiet install --no-deps --upgrade \
	        --target .engines/$*/apart/$${pin%%==*} $$pin || exit 1; done
	@.engines/$*/bin/pip --disable-pip-version-check --quiet install \
	    --no-build-isolation --no-deps --editable .
	@touch $@

.engines/codec/.done: compressors/engines/codec/pins-apart.txt

engines: $(VENV)/.core $(ENGINES:%=.engines/%/.done)
	@$(BIN)/kvbarrier experiments engines --scale $(SCALE) --out results/$(SCALE)

engines/%: $(VENV)/.core .engines/%/.done
	@$(BIN)/python -m kvbarrier.experiments.engines.one $* results/$(SCALE) --scale $(SCALE)

test-engines: $(ENGINES:%=test-engines/%)

test-engines/%: .engines/%/.done
	@.engines/$*/bin/python -m pytest -q tests/engines/$*

engines-source: .engines/llamacpp/.done
	@.engines/llamacpp/bin/pip --disable-pip-version-check install --requirement compressors/engines/llamacpp/pins-source.txt

clean:
	rm -rf $(VENV) .types build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
