# Needs Python >= 3.11 with venv, make and a network; everything else goes into .venv.
# PYTHON=...       another interpreter to make .venv from
# TORCH=cpu        PyTorch for CPUs alone: 2 GB on Linux instead of 6.5 (asked for once, it stays)
# CONSTRAINTS=     the newest packages instead of the tested ones
# FEWSTEP_SCALE=   smoke, cpu (the default here) or gpu
# NOTEBOOKS=       for `make record`: which ones (default: all)
# FEWSTEP_SITE=    for `make test`: test this built site instead of building a small one

PYTHON ?= python3
NOTEBOOKS ?= notebooks/*.ipynb
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: book test lint format lab serve record rehearse bench colab clean again

book: $(INSTALLED)  ## execute the notebooks and build the site
	@$(BIN)/python tools/build.py

test: $(INSTALLED)  ## run every test
	@echo "1/2 Tests of the library, the equations and the notebooks: about 9 minutes on two cores"
	@$(BIN)/python -m pytest --nbmake -n 2 --dist worksteal --ignore=tests/site
	@echo "2/2 Tests of the site and of these tools, on a small site: about 8 minutes"
	@$(BIN)/python -m pytest tests/site

lint: $(INSTALLED)  ## check form, common faults and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)  ## bring the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lab: $(INSTALLED)  ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

serve: book  ## show the site on this machine
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

record: $(INSTALLED)  ## run NOTEBOOKS and write what they record to results/
	FEWSTEP_RECORD=1 $(BIN)/jupyter execute $(NOTEBOOKS)

rehearse: $(INSTALLED)  ## the gpu scale on a CPU, cut short: what it would cost
	$(BIN)/python tools/rehearse.py --record

bench: $(INSTALLED)  ## measure speed and memory
	$(BIN)/python benchmarks/run.py

colab: $(INSTALLED)  ## write copies of the notebooks for Colab to build/colab (needs FEWSTEP_REPOSITORY)
	$(BIN)/python tools/stamp.py --out build/colab

clean:
	rm -rf .venv _build build

# `again`: TORCH asks for another build of PyTorch than .venv has, which tools/install.py refuses.
$(INSTALLED): pyproject.toml constraints.txt $(if $(filter-out $(shell cat .venv/torch 2>/dev/null),$(TORCH)),again)
	@"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("fewstep needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	@"$(PYTHON)" tools/install.py
