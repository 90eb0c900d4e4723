# make demo    score the sample images        make test    linters, types, tests
# make bench   the figures of README.md       make bench-gpu  what a GPU must show
# make clean   remove the virtual environment
# Each sets up what it needs; PYTHON=python3.12 chooses the interpreter (3.10 or newer).

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test bench bench-gpu clean

demo: $(VENV)/.installed
	$(RUN) test_zeroshot.py --eval_type zeroshot --img_dir samples --output demo_scores.csv

test: $(VENV)/.installed-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy .
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal --durations=10

bench: $(VENV)/.installed-dev
	$(RUN) -m benchmarks $(BENCH)

bench-gpu: $(VENV)/.installed-dev
	$(RUN) -m benchmarks.gpu $(BENCH)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "$(PYTHON) is older than 3.10; name a newer one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(RUN) -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV)
