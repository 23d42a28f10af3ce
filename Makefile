# The whole developer surface. Every target works in a fresh clone: it installs what it needs, once.

VENV := .venv
BIN := $(VENV)/bin
LOCK := deploy/requirements.txt
DEV_LOCK := deploy/requirements-dev.txt
# Client software in environments of its own, because it wants other versions of what the gateway stands on.
CLIENTS := .venv-clients
VERCEL := tests/client_suite/vercel

.PHONY: run test check comply test-clients bench fmt docs lock clean

run: $(VENV)/.installed  ## serve on 127.0.0.1:8080 (PORT=9000 make run takes another port)
	@exec $(BIN)/sluice serve

test: $(VENV)/.installed-dev  ## the whole test suite
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.installed-dev  ## lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

comply: $(VENV)/.installed $(CLIENTS)/comply/.installed  ## llm-comply against a running gateway, in all client dialects
	@$(BIN)/python -m tests.client_suite.comply $(CLIENTS)/comply/bin/llm-comply

# Exit code 5: ARGS chose no test of this environment.
test-clients: $(VENV)/.installed $(CLIENTS)/current/.installed $(CLIENTS)/older/.installed $(CLIENTS)/.node  ## client SDKs against a running gateway
	@$(CLIENTS)/current/bin/python -m pytest -c tests/client_suite/pytest.ini \
		tests/client_suite --ignore tests/client_suite/older $(ARGS) || [ $$? = 5 ]
	@$(CLIENTS)/older/bin/python -m pytest -c tests/client_suite/pytest.ini tests/client_suite/older $(ARGS) || [ $$? = 5 ]

bench: $(VENV)/.installed  ## CPU, latency and memory against a bare relay
	@$(BIN)/python -m loadtest.bench $(ARGS)

fmt: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.installed  ## print the generated pages anew
	@$(BIN)/python -m gateway.config.reference docs/configuration.md
	@$(BIN)/python -m gateway.reference docs/api.md

lock: $(VENV)/.installed-dev  ## choose dependency versions anew, with hashes
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--upgrade setup.cfg deploy/build-requirements.in --output-file $(LOCK)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--upgrade setup.cfg deploy/build-requirements.in --extra test --extra check --constraint $(LOCK) --output-file $(DEV_LOCK)
	@for name in clients clients-older comply; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
			--upgrade deploy/requirements-$$name.in --output-file deploy/requirements-$$name.txt || exit 1; \
	done

clean:
	rm -rf $(VENV) $(CLIENTS) $(VERCEL)/node_modules build *.egg-info

# The first Python that is new enough, or PYTHON alone if it is given; a $(VENV) that is there already stays as it is.
# Half a $(VENV) would look like a whole one to the next run, so it is removed.
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

$(BIN)/python:
	@for python in $(PYTHONS); do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "creating $(VENV) with $$($$python --version)"; \
		$$python -m venv $(VENV) && exit 0; \
		rm -rf $(VENV); \
		echo "$$python has no working venv module. Debian and Ubuntu have it in a package: apt install python3-venv" >&2; \
		exit 1; \
	done; \
	echo "Sluice needs Python 3.11 or newer; not found as: $(PYTHONS). PYTHON=/path/to/python make run names one." >&2; exit 1

$(VENV)/.installed: $(BIN)/python $(LOCK) setup.cfg pyproject.toml
	@echo "installing (first time only)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed $(DEV_LOCK)
	@echo "installing the test tools (first time only)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(DEV_LOCK)
	@touch $@

$(CLIENTS)/current/.installed: CLIENT_LOCK := deploy/requirements-clients.txt
$(CLIENTS)/current/.installed: deploy/requirements-clients.txt
$(CLIENTS)/older/.installed: CLIENT_LOCK := deploy/requirements-clients-older.txt
$(CLIENTS)/older/.installed: deploy/requirements-clients-older.txt
$(CLIENTS)/comply/.installed: CLIENT_LOCK := deploy/requirements-comply.txt
$(CLIENTS)/comply/.installed: deploy/requirements-comply.txt

$(CLIENTS)/%/.installed: | $(BIN)/python
	@echo "installing $(CLIENT_LOCK) (first time only)"
	@rm -rf $(@D)
	@$(BIN)/python -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(CLIENT_LOCK)
	@touch $@

$(CLIENTS)/.node: $(VERCEL)/package-lock.json
	@mkdir -p $(@D)
	@if command -v npm > /dev/null; then \
		npm ci --silent --no-audit --no-fund --prefix $(VERCEL); \
	else \
		echo "npm is not installed; Vercel's AI SDK is not tested"; \
	fi
	@touch $@
