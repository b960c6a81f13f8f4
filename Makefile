# Two commands: "make run" starts a demo, "make test" sets everything up and runs all tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Test files run side by side; many of them wait more than they compute.
JOBS ?= 4

.PHONY: run test bench bench-scale fuzz check tools clean

run: $(VENV)/installed
	$(BIN)/twistd -n --pidfile= smsgw --demo

test: $(VENV)/tests-installed tools
	$(MAKE) check
	$(BIN)/pytest --numprocesses=$(JOBS) --dist=loadfile

check: $(VENV)/tests-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/tests-installed
	$(BIN)/python bench/run.py $(BENCH)

# One node with its store on PostgreSQL and its queues on RabbitMQ, which it starts by itself.
bench-scale: $(VENV)/tests-installed
	$(BIN)/python bench/run.py scale $(BENCH)

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
