# Everything runs in .venv, which is made from nothing but Python 3.11 and this folder.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo demo-round demo-threshold report test test-slow test-native test-mutants test-ceph test-torch lint bench bench-training bench-scale accuracy docs site pictures vectors wheels samples clean

demo: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" bash sample_data/demo.sh

demo-round: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" bash sample_data/demo-round.sh

demo-threshold: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" bash sample_data/demo-threshold.sh

# The techniques beside each other on the sample data, and a page of it; some ten minutes, and it goes on where it stopped.
report: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" bash sample_data/report.sh

# What computes is tested both ways: with the native arithmetic, where it is built, and with gmpy2.
BOTH_WAYS := tests/test_paillier.py tests/test_threshold.py tests/test_vectors.py tests/test_round.py tests/test_executors.py

test: lint .venv/storage
	$(BIN)/python -m pytest -n auto -m "not slow"
	HECLI_NATIVE=off $(BIN)/python -m pytest -n auto -m "not slow" $(BOTH_WAYS)

# PyTorch is large: its files are tested where it is asked for.
test-torch: .venv/torch
	$(BIN)/python -m pytest tests/test_torch.py tests/test_docs.py

# What takes longer: runs killed at every file operation, fifty rounds of ten parties.
test-slow: .venv/installed .venv/storage
	$(BIN)/python -m pytest -n auto -m slow

# Everything, with each arithmetic that this machine has.
test-native: .venv/installed .venv/storage
	for each in $$($(BIN)/python -c "from hecli.arithmetic.choosing import available; print(*available())"); do \
		HECLI_NATIVE=$$each $(BIN)/python -m pytest -n auto -m "not slow" || exit 1; \
	done
	$(BIN)/python -m pytest -n auto -m slow tests/test_native.py

# Storage again, with Ceph's RADOS gateway in the place of moto.
test-ceph: .venv/installed
	command -v radosgw > /dev/null || apt-get install --yes --no-install-recommends ceph-mon ceph-mgr ceph-osd ceph-common radosgw
	TEST_S3=ceph $(BIN)/python -m pytest -k "s3 or proxy or cut or bucket or large" tests/test_storage.py tests/test_far.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: .venv/bench
	$(BIN)/hecli bench --against phe,tenseal,sf-heu --memory

bench-training: .venv/installed
	$(BIN)/python -m hecli.bench.flower --environment build/flower

bench-scale: .venv/installed
	$(BIN)/python -m hecli.bench.scale

# Some two hundred trainings, on images that two other packages come with.
accuracy: .venv/accuracy
	$(BIN)/python -m hecli.bench.accuracy

# Small mistakes in the sources of the native arithmetic, one by one: which share do its tests catch?
test-mutants: .venv/installed
	$(BIN)/python -m tests.native.mutants

# In dist: for any Linux on x86-64 with glibc 2.17, by a compiler from the package index; without C for all others.
wheels: .venv/wheels
	rm -rf dist
	CC="'$(CURDIR)/$(BIN)/python' -m ziglang cc -target x86_64-linux-gnu.2.17" $(BIN)/python -m build --quiet --wheel .
	$(BIN)/python -m wheel tags --remove --platform-tag manylinux_2_17_x86_64 dist/*-linux_x86_64.whl
	CC=false $(BIN)/python -m build --quiet --wheel .

docs: .venv/installed
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_man.py
	$(BIN)/python docs/make_python.py

# In build/site, to be read without a network or a server.
site: .venv/installed
	$(BIN)/python -m sphinx -q -E -W --keep-going docs build/site

# What README shows of the report, as a browser shows it.
pictures: report
	$(BIN)/python docs/make_pictures.py

vectors: .venv/installed
	$(BIN)/python tests/vectors/make.py

samples: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[samples]'
	$(BIN)/python sample_data/make.py

clean:
	rm -rf .venv

.venv/installed: pyproject.toml $(wildcard native/*)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

# A server that speaks as Azure does, for the tests; without npm they are skipped, and say so.
.venv/storage: .venv/installed
	if command -v npm > /dev/null; then npm install --silent --no-audit --no-fund --prefix .venv/azurite azurite || true; fi
	touch $@

.venv/wheels: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check ziglang wheel
	touch $@

.venv/bench: .venv/installed
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

.venv/accuracy: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[accuracy]'
	touch $@

.venv/torch: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[torch]'
	touch $@
