# Every command a contributor needs. Each one installs what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint format docs console bench score peers field evening gptme s3 rates clean

demo: $(STAMP)
	@$(BIN)/offhook demo

# Three workers on two cores: most of the suite's time is calls in real time, which wait. A file stays with one worker
# (servers are shared by its tests), the longest go first (tests/conftest.py), and a worker that had to be ended is not begun
# again. Bytecode is kept even where the environment says otherwise: the suite starts offhook two hundred times, and each
# worker would compile and rewrite every test anew.
test: lint
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python tools/docs.py

# The console's pages, from console/ into the package. What comes of it is committed: only who changes them needs Node.
console:
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(+a > 20 || (+a == 20 && +b >= 19) ? 0 : 1)' 2>/dev/null || { \
		echo "make console needs Node 20.19 or newer (nodejs.org; apt install nodejs npm) and its package registry once."; \
		echo "Without it nothing is missing: src/offhook/console/dist has the pages, built."; exit 1; }
	cd console && { test -d node_modules || npm ci --no-audit --no-fund; } && npm run -s types && npm run -s check && npm run -s build

score: $(STAMP)
	$(BIN)/python tools/score.py --page

# Other people's clients at our simulated providers, in an environment of their own. Heavy, so not part of test.
peers: $(STAMP)
	$(BIN)/python tools/peers.py

# Two hundred calls with everything at once, a store and a server that are killed, and whether the records tell the truth.
# Heavy, so not part of test; a Postgres server is used where one is installed.
evening: $(STAMP)
	$(BIN)/python tools/evening

# Our dial at other people's servers, in an environment of their own. Heavy, so not part of test.
field: $(STAMP)
	$(BIN)/python tools/field.py

# The real gptme as a delegate, its model on loopback, in an environment of its own. Heavy, so not part of test.
gptme: $(STAMP)
	$(BIN)/python tools/gptme_delegate.py

# A recording into other people's S3-compatible servers, in an environment of its own. Heavy, so not part of test.
s3: $(STAMP)
	$(BIN)/python tools/bucket.py

# Talk in a real Chromium at every rate of a sound card: pitch, level, seams, an interruption. Two minutes, in real time.
rates: $(STAMP)
	$(BIN)/python tools/talk_rates.py

bench: $(STAMP)
	bench/run 300 3
	$(BIN)/python bench/summary.py

$(STAMP): pyproject.toml requirements.lock hatch_build.py $(wildcard native/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Offhook needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; \
		exit 1; }
	@echo "installing into $(VENV) (once, about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .peers .field .gptme .s3 dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
