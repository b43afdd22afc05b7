# One word a chore; `make` alone lists them. Everything lives in the environment $(VENV).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Real labelled data for `make realdata`: a folder a task, a JSONL file a source.
DATA ?=
TASKS ?= category pii jailbreak intent
# For the measurements of speed: a trained shared bundle (else random weights of ModernBERT base's
# shape), a JSONL file of real chat, prepared data of the jailbreak task, and more options, as in
# OPTIONS=--quick. docs/benchmarks.md says what each measures.
BUNDLE ?=
CHAT ?=
PREPARED ?=
BACKBONE ?= modernbert-base-shape
OPTIONS ?=
MEASURE = $(BIN)/python benchmarks
WEIGHTS = $(if $(BUNDLE),--bundle "$(BUNDLE)") $(OPTIONS)

.DEFAULT_GOAL := help
.PHONY: help setup test demo bench latency throughput training roofline growth coldstart realdata
.PHONY: lint types node format wheel clean docs

help:  ## list the chores
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 12

setup: $(READY)  ## make the environment

# News goes to stderr, so that stdout holds results alone.
$(READY): pyproject.toml constraints.txt
	@echo 'making the environment in $(VENV): some minutes, once' >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[all,dev]' >&2
	@touch $(READY)

test: lint types node  ## everything that CI runs: lint, types, tests, the Node.js client, wheel
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal
	$(BIN)/python scripts/wheel_smoke.py

demo: setup  ## train, evaluate and pack four classifiers on the starter corpora
	$(BIN)/pointsman run recipes/quickstart.yaml

bench: latency roofline coldstart $(if $(CHAT),throughput) $(if $(PREPARED),training)  ## measure speed: make bench [BUNDLE=DIR] [CHAT=FILE] [PREPARED=DIR]

latency: setup  ## time all decisions on one prompt, beside pipelines and ONNX sessions
	$(MEASURE)/latency.py $(WEIGHTS)

throughput: setup  ## time 2,000 prompts of real chat: make throughput CHAT=FILE
	@test -f "$(CHAT)" || { echo 'make throughput CHAT=FILE: JSONL with a text a line' >&2; exit 2; }
	$(MEASURE)/throughput.py "$(CHAT)" $(WEIGHTS)

training: setup  ## time training: make training PREPARED=DIR [BACKBONE=NAME]
	@test -d "$(PREPARED)" || { echo 'make training PREPARED=DIR: prepared data' >&2; exit 2; }
	$(MEASURE)/train_speed.py "$(PREPARED)" --backbone "$(BACKBONE)" --ablation $(OPTIONS)

roofline: setup  ## see where the time goes, against what the machine can do
	$(MEASURE)/roofline.py $(WEIGHTS)

growth: setup  ## see how cost grows, with plots: hours
	$(MEASURE)/growth.py length batch texts rows --plots docs/plots $(WEIGHTS)

coldstart: setup  ## time from process start to the answer, and peak memory
	$(MEASURE)/cold_start.py $(WEIGHTS)

realdata: setup  ## train on real data: make realdata DATA=DIR [TASKS="pii intent"]
	@test -d "$(DATA)" || { echo 'make realdata DATA=DIR: a directory with a folder a task' >&2; exit 2; }
	set -e; for task in $(TASKS); do \
	  $(BIN)/python benchmarks/real_data.py "$(DATA)" $$task -o runs/bench-$$task; \
	done

lint: setup  ## check style, format and the direction of imports
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: setup  ## check types
	$(BIN)/mypy

# Its tests need bundles that Python makes, so pytest runs them; install scripts would fetch CUDA.
node:  ## install what the Node.js client needs
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
	  cd clients/node && ONNXRUNTIME_NODE_INSTALL=skip npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2; \
	else echo 'node and npm are not installed: the tests of the Node.js client will skip' >&2; fi

format: setup  ## put the code into its format
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format .

wheel: setup  ## build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist . >&2

docs: setup  ## write the pages that are generated
	$(BIN)/python scripts/make_command_docs.py

clean:  ## remove caches and what was built; runs and the environment stay
	rm -rf clients/node/node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find pointsman tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
