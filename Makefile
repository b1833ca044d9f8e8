# make setup | demo | example-NAME | test | test-gpu | lint | bench | docs: everything runs in .venv, which the first call makes.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
VIEW := $(CURDIR)/.venv/view/torchdisentangle
STAMP := .venv/.installed

.PHONY: setup demo test test-gpu lint format bench docs docs-figures clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all]"
	touch $@

demo: $(STAMP)
	$(BIN)/python examples/demo/main.py

# `make example-topdis`, or `make example-topdis ARGS=--fast`: one of the folders of examples/
example-%: $(STAMP)
	$(BIN)/python examples/$(subst -,_,$*)/main.py $(ARGS)

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)  # the two workers take a core each

test-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu tests $(PYTEST_ARGS)  # one worker: all would share the GPU

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf $(VIEW) && mkdir -p $(VIEW)  # the package as it is installed: mypy cannot follow an editable install
	@ln -s $(CURDIR)/src/torchdisentangle/* $(CURDIR)/callbacks $(CURDIR)/models $(VIEW)
	cd $(VIEW)/.. && $(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p torchdisentangle

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  # `make bench ARGS="counts --device cpu"`: some of them, on a device of your choice
	$(BIN)/python -m tests.benchmarks $(ARGS)

docs: $(STAMP)
	rm -rf docs/reference/generated docs/stories
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

docs-figures: $(STAMP)
	$(BIN)/python docs/figures.py
	$(BIN)/python docs/sample_page.py

clean:
	rm -rf .venv build dist *.egg-info docs/_build docs/reference/generated docs/stories
