# make demo    sets everything up and runs the demo
# make test    sets everything up, checks the code and runs every test
#              make demo PROFILE=small: the smaller language model
# make vllm    makes an environment with vLLM, and tests a language model that it serves
.DEFAULT_GOAL := help
.PHONY: help env weights demo test lint fast slow models vllm bench lock wheel clean

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PROFILE ?= embedded
export PATH := $(CURDIR)/$(BIN):$(PATH)

help:
	@sed -n 's/^# //p' Makefile
	@echo 'parts:       env weights lint fast slow models vllm bench lock wheel clean'

env: $(VENV)/.complete

$(VENV)/.complete: requirements.lock pyproject.toml .ci/setup
	@PYTHON=$(PYTHON) VENV=$(VENV) bash .ci/setup
	@touch $@

weights: env
	sensorium models pull --profile $(PROFILE)

demo: weights
	python examples/03_hear_see_speak.py --profile $(PROFILE)

lint: env
	ruff format --check .
	ruff check .
	mypy
	pyright --pythonpath $(BIN)/python
	lint-imports

fast: env
	pytest -q -n 2 -m "not models and not slow and not vllm" tests

slow: env
	pytest -q -n 2 -m "slow and not models and not vllm" tests

models: env
	sensorium models pull --profile small whisper-tiny-en-openai smollm2-135m-transformers \
	    qwen2.5-coder-0.5b-transformers
	SENSORIUM_PROFILE=small SENSORIUM_KEEP_WARM_S=60 pytest -q -m models tests

vllm: env  # a server has both cores to itself, and its tests share it
	sensorium models pull vllm qwen2.5-coder-0.5b-transformers smollm2-135m-transformers
	pytest -q -m vllm tests

test: lint fast slow models vllm

bench: weights  # but those that want data by path, and what benchmarks share
	@failed=0; for file in $$(grep -l '^if __name__' benchmarks/*.py | grep -vE 'planning|ears|kv_tables'); do \
	    echo "== $$file"; python $$file || failed=1; done; exit $$failed

lock: env
	bash .ci/lock

wheel: env
	python -m build --wheel

clean:
	rm -rf $(VENV) dist build
