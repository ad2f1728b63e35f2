# Recipes for people; .ci/run calls the same ones. `make` alone lists them.
# Tools come from the active virtual environment, else from .venv, which `make setup` makes.
BIN ?= $(if $(VIRTUAL_ENV),$(VIRTUAL_ENV),.venv)/bin/

.DEFAULT_GOAL := help
.PHONY: help setup fast lint ruff types imports test docs ci

help: ## list the recipes
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10

setup: ## make .venv with everything that the recipes need
	python3 -m venv .venv
	.venv/bin/pip install -q -c constraints.txt -e '.[test,dev,docs]'

fast: ## unit and architecture tests but for the slow ones, in under a minute on two cores
	$(BIN)pytest tests/unit tests/architecture -m "not slow and not kafka" -n logical --dist worksteal

lint: ruff types imports ## style, types and import contracts

ruff:
	$(BIN)ruff check .
	$(BIN)ruff format --check .

types:
	$(BIN)mypy

imports:
	$(BIN)lint-imports

test: ## all tests; those marked `kafka` start a broker or use the one that is there
	$(BIN)pytest

docs: ## the site in build/site; fails on a warning, a broken link or a request to another site
	$(BIN)sphinx-build -W --keep-going -q -E -c docs -b html . build/site
	STREAM_INFER_SITE=build/site $(BIN)pytest -q tests/architecture/test_site.py

ci: ## what has to pass before a merge: lint, install, demo, site and all tests, on clean copies of the last commit
	.ci/run
