# make setup | demo | example-NAME | test | lint | bench: everything runs in .venv, which the first call makes.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
VIEW := $(CURDIR)/.venv/view/torchdisentangle
STAMP := .venv/.installed

.PHONY: setup demo test lint format bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all]"
	touch $@

demo: $(STAMP)
	$(BIN)/python examples/demo/main.py

example-%: $(STAMP)  # make example-two-moons, or with EXAMPLE_ARGS=--fast
	$(BIN)/python examples/$(subst -,_,$*)/main.py $(EXAMPLE_ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf $(VIEW) && mkdir -p $(VIEW)  # the package as it is installed: mypy cannot follow an editable install
	@ln -s $(CURDIR)/src/torchdisentangle/* $(CURDIR)/callbacks $(CURDIR)/models $(VIEW)
	cd $(VIEW)/.. && $(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p torchdisentangle

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf .venv build dist *.egg-info
