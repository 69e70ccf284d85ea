# Every target works from a fresh clone: it creates .venv itself, from the lock file with hashes.
PYTHON ?= python3
BIN := .venv/bin
LOYALTY := $(BIN)/loyalty
# The program of the demonstration: a file in programs/. Another one gets its own home beside the first.
PROGRAM ?= fresh-market
HOME_DIR ?= $(if $(filter fresh-market,$(PROGRAM)),.loyalty,.loyalty-$(PROGRAM))
BROKER ?= embedded

.PHONY: up down test test-kafka test-year test-crash test-deep lint bench bench-against docs lock clean

.venv/installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Say which: make PYTHON=python3.12"; exit 1; }
	@echo "installing into .venv (once)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Start everything, replay a year of real purchases, show what happened. DETACH=1 leaves it running and returns.
up: .venv/installed
	$(BIN)/python -m devstack.demonstration --home $(HOME_DIR) --broker $(BROKER) --program $(PROGRAM) $(if $(DETACH),--detach)

down: .venv/installed
	$(LOYALTY) down --home $(HOME_DIR)

# Two processes; tests/support/scheduling.py says which test goes where.
test: .venv/installed
	$(BIN)/python -m pytest -n 2

# The tests with a broker, on Apache Kafka, which is started from Maven artifacts. Needs a JDK and Maven.
test-kafka: .venv/installed
	@$(BIN)/python -c 'import sys; from devstack.embedded.kafka import why_not; problem = why_not(); sys.exit(problem)'
	LOYALTY_TEST_BROKER=kafka $(BIN)/python -m pytest -n 2 tests/integration tests/year

# The whole year of real purchases, paid to the point.
test-year: .venv/installed
	YEAR_TO=2017-12-31 $(BIN)/python -m pytest -k paid_to_the_point tests/year

# kill -9 at every failpoint, long outages, and three months of all events with kills.
test-crash: .venv/installed
	$(BIN)/python -m pytest -n 2 -m crash

# A search: large numbers of new random examples. Failures are kept in .hypothesis and tried first the next time.
test-deep: .venv/installed
	$(BIN)/python -m pytest -n 2 --hypothesis-profile deep --timeout 3600 tests/unit tests/properties

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/installed
	$(BIN)/python -m bench

# Compare this tree with another revision: REV=main, optionally ROW="purchases latency", PAIRS, SIZE (events), RATE.
bench-against: .venv/installed
	@test -n "$(REV)" || { echo "Say against which revision: make bench-against REV=main"; exit 2; }
	$(BIN)/python -m bench against --rev $(REV) $(foreach row,$(or $(ROW),purchases),--row $(row)) \
	  --pairs $(or $(PAIRS),5) $(if $(SIZE),--size $(SIZE)) $(if $(RATE),--rate $(RATE))

# Documents that are generated from code: settings, event schemas, the schema of the program file.
docs: .venv/installed
	$(BIN)/python -m tools.documents

# New versions of all dependencies; names and hashes only, so that any package index serves.
lock: .venv/installed
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra embedded --extra plot --extra dev pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
