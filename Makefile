# Everything starts from here; each target does its own set-up. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := src tests
# Small and quick: on 560 training images of 64x64, small batches and momentum make up for the few steps of 8 epochs.
DEMO := seeds=3 data.difficulty=0.4 data.split.strategy=patient data.image_size=64 \
	batch_size=8 optimizer.momentum=0.9 epochs=8 outputs=outputs/demo

# Of make study, e.g. make study DATA=~/xrays SEEDS=3 SIZE=224 PRESET=full ARGS=--forecast
DATA ?= phantom
SEEDS ?= 10
SIZE ?= 640
PRESET ?= laptop

# Of make results and make archive: what the archives in docs/results say of the images, and how they are reported on
ARCHIVES := $(patsubst docs/results/%.tar.xz,%,$(wildcard docs/results/*.tar.xz))
TITLE := Chest X-rays of Kermany et al. at 224x224
UPSAMPLED := , upsampled to 640x640 (the study has 640x640 originals)
TITLE_bacterial_viral := Pneumonia X-rays of children
ROOT_bacterial_viral := XRAYS/PNEUMONIA
CITATION := Kermany, Zhang, Goldbaum, "Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for \
	Classification", Mendeley Data, doi:10.17632/rscbjbr9sj.2
REPORT_bacterial_viral := --study bacterial_viral
REPORT_folds-224 := --baseline logistic
REPORT_study-224 := --baseline 'table1_20, lr 8.2e-4'
PUBLISHED := comparison configurations fig20 fig23 $(patsubst %,evaluation_%,1 2 3 4 5 6)
OUTPUTS ?= outputs

.DEFAULT_GOAL := help
.PHONY: help install run study results archive publish claims notebooks bench gpu test test-long test-slurm check format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(READY) ## set up the virtual environment in .venv, with the versions of constraints.txt

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
		f"Python 3.11, 3.12 or 3.13 is needed, this is {sys.version.split()[0]}: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); the first time this downloads torch and takes a minute or more"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]' --compile-bytecode
	@touch $@

# Threads gain nothing on batches this small, and wait for each other where a machine is busy.
run: export OMP_NUM_THREADS := 1
# The last of the four fails on purpose: at such a learning rate a model that ends in a ReLU keeps dead units only.
run: $(READY) ## compare the three families, and one that collapses, on synthetic phantom data: under a minute
	$(BIN)/cxr-run -m model=linear,linear_relu,cnn optimizer.lr=0.003 $(DEMO)
	$(BIN)/cxr-run model=linear_relu optimizer.lr=0.5 name=collapse-on-purpose $(DEMO)
	$(BIN)/cxr-report outputs/demo
	@echo "open outputs/demo/report/index.html in a browser: four configurations compared, one of which fails on purpose"

study: $(READY) ## train both tables of the study (DATA, SEEDS, SIZE, PRESET=laptop|full), with a forecast, and report
	$(BIN)/cxr-study --data '$(DATA)' --seeds $(SEEDS) --size $(SIZE) --preset $(PRESET) $(ARGS)

results: $(ARCHIVES:%=result-%) ## make the reports in docs/results anew, without training; fails where one differs

result-%: $(READY)
	$(BIN)/cxr-report docs/results/$*.tar.xz $(REPORT_$*) --out outputs/results/$* --verify docs/results/$*

archive: $(READY) ## add the runs below OUTPUTS to docs/results/NAME.tar.xz, and publish its tables and checksums
	$(BIN)/cxr-report '$(OUTPUTS)' --archive docs/results/$(NAME).tar.xz \
		--restate root='$(or $(ROOT_$(NAME)),XRAYS)' \
		--restate title='$(or $(TITLE_$(NAME)),$(TITLE)$(if $(findstring 640,$(NAME)),$(UPSAMPLED)))' \
		--restate citation='$(CITATION)' --restate licence='CC BY 4.0' $(if $(filter $(NAME),$(ARCHIVES)),--add)
	$(MAKE) publish-$(NAME)

publish: $(ARCHIVES:%=publish-%) ## where a change of the report is meant: publish what all archives give now

publish-%: $(READY)
	rm -rf outputs/results/$* docs/results/$*
	$(BIN)/cxr-report docs/results/$*.tar.xz $(REPORT_$*) --out outputs/results/$*
	mkdir -p docs/results/$*/tables
	cd outputs/results/$* && for table in $(PUBLISHED:%=tables/%.md); do \
		test ! -f $$table || cp $$table $(CURDIR)/docs/results/$*/tables; done
	cd outputs/results/$* && find . -type f ! -name .lock ! -name manifest.json | LC_ALL=C sort | \
		xargs sha256sum > $(CURDIR)/docs/results/$*/SHA256SUMS

claims: result-study-640 result-study-224 ## write docs/claims.md and docs/claims-224.md anew from docs/results
	cp outputs/results/study-640/claims.md docs/claims.md
	cp outputs/results/study-224/claims.md docs/claims-224.md

notebooks: $(READY) ## run the notebooks and keep their outputs (ONLY=03_my_own_images)
	$(BIN)/python tests/execute_notebooks.py $(ONLY)

test: $(READY) ## run the tests
	$(BIN)/pytest --numprocesses=2 --dist=worksteal

test-long: $(READY) ## run the tests that take minutes or need the real images
	$(BIN)/pytest -m long

test-slurm: $(READY) ## run the tests that start a Slurm cluster (root, Debian's slurm-wlm and munge)
	$(BIN)/pytest -m slurm

bench: $(READY) ## measure against plain ways of doing the same (ONLY=linear, ARGS="--quick --device cuda")
	PYTHONPATH=tests $(BIN)/python -m benchmarks $(ONLY) $(ARGS)

gpu: $(READY) ## on a machine with a GPU: is it right there, and how fast? at most four minutes (ARGS=--quick)
	PYTHONPATH=tests $(BIN)/python -m benchmarks gpu $(ARGS)

check: $(READY) ## lint, check types and formatting
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy

format: $(READY) ## format the code and mend what the linter can
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

clean: ## remove caches, builds and the virtual environment; outputs stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(CODE) -name __pycache__ -prune -exec rm -rf {} +
	rm -rf src/*.egg-info
