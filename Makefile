# Two commands set everything up: `make demo` and `make test`. Needs Python >= 3.11, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
VIDEOS ?= 600
EVENTS ?= 50000
DATA ?= data
PORT ?= 8000
KILLS ?= 5
FAULTS := tests/faults tests/indexer/test_kill.py tests/indexer/test_kill_server.py \
	tests/indexer/test_damage.py tests/indexer/test_room.py tests/indexer/test_unpublished.py \
	tests/backend/test_outage.py

.PHONY: help install demo test test-slow faults screenshots lint format wheel clean

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED) ## Make the environment in .venv

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("TwinLens needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(INSTALLED) ## Draw a sample and a log of what people watch, index it, learn from it, and serve it at http://127.0.0.1:8000
	@$(BIN)/twinlens sample --videos $(VIDEOS) --events $(EVENTS) sample
	@$(BIN)/twinlens index sample --data-dir $(DATA) --title-model packaged:e5-small
	@$(BIN)/twinlens events import sample/log/events.parquet --data-dir $(DATA)
	@test -e $(DATA)/models/CURRENT || $(BIN)/twinlens train-recommender --data-dir $(DATA) --force
	@$(BIN)/twinlens serve --data-dir $(DATA) --port $(PORT)

# The tests start hundreds of processes: modules are compiled once, not by each of them.
test: $(INSTALLED) ## Run the tests (not the slow ones), two at a time
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadscope

test-slow: $(INSTALLED) ## Run the slow tests, two at a time
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m slow --timeout=900 -n 2 --dist loadscope

# All of it is in the two above, with 5 kills; here each kill says what was seen.
faults: $(INSTALLED) ## Run the fault suite, with KILLS=200 kills of each kind, say
	TWINLENS_TEST_KILLS=$(KILLS) $(BIN)/python -m pytest -m 'slow or not slow' --timeout=0 -v $(FAULTS)

screenshots: $(INSTALLED) ## Take pictures of the page, in build/screenshots
	$(BIN)/python -m tests.screenshots build/screenshots

lint: $(INSTALLED) ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(INSTALLED) ## Build the wheel in dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## Remove what was made, but for data
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
