# Two commands: "make run" starts a demo, "make test" sets everything up and runs all tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Test files run side by side; many of them wait more than they compute.
JOBS ?= 4
# Compiled once, also where the environment says that nothing is to be written beside the sources:
# the tests start the gateway a hundred times.
PYTEST := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(CURDIR)/$(VENV)/bytecode $(BIN)/pytest

.PHONY: run test bench bench-scale fuzz check compiled tools clean

run: $(VENV)/installed
	$(BIN)/twistd -n --pidfile= smsgw --demo

test: $(VENV)/tests-installed tools
	$(MAKE) --jobs=2 check compiled
	$(PYTEST) --numprocesses=$(JOBS) --dist=loadfile

check: $(VENV)/tests-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What each of the processes that run tests would do by itself, at the same time.
compiled: $(VENV)/tests-installed
	$(PYTEST) --collect-only >$(VENV)/collected || { cat $(VENV)/collected; exit 1; }

bench: $(VENV)/tests-installed
	$(BIN)/python bench/run.py $(BENCH)

# One node and two, with their store on PostgreSQL and queues on RabbitMQ, which it starts by itself.
bench-scale: $(VENV)/tests-installed
	$(BIN)/python bench/run.py scale scale-two $(BENCH)

# FUZZ_S seconds for each of the laws of tests/fuzz/laws.py, or for those that LAWS names.
FUZZ_S ?= 60
fuzz: $(VENV)/tests-installed
	$(BIN)/pip install --quiet --config-settings editable_mode=compat --editable '.[fuzz]'
	FUZZ_S=$(FUZZ_S) $(BIN)/python tests/fuzz/run.py $(LAWS)

$(VENV)/installed: setup.cfg
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --config-settings editable_mode=compat --editable .
	touch $@

$(VENV)/tests-installed: $(VENV)/installed setup.cfg
	$(BIN)/pip install --quiet --config-settings editable_mode=compat --editable '.[test,bench]'
	touch $@

tools: $(VENV)/tests-installed
	$(BIN)/python tests/tools.py

clean:
	rm -rf $(VENV) build *.egg-info
