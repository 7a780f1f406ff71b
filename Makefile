# make setup | demo | test | test-readers | check | soak | constraints
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A CPU build of torch is enough for everything here, where an index offers one; PyPI has CUDA's.
TORCH := torch==2.13.0 torchvision==0.28.0
DEMO ?= demo-project
JOBS ?= 2

.PHONY: setup demo test test-readers check soak test-setup system-packages wordnet constraints clean

setup: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq python3-venv; } \
	  || { echo "Error: $(PYTHON) must be Python 3.11 or later with venv; on Debian: apt-get install python3-venv" >&2; \
	       exit 1; }
	@echo "installing PyTorch and everything else: about 5 GB, a few minutes without a word"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt setuptools wheel $(TORCH)
	$(BIN)/python -m pip install -qq -c constraints.txt --no-build-isolation -e '.[train]'
	touch $@

$(VENV)/.test-installed: $(VENV)/.installed
	$(BIN)/python -m pip install -qq -c constraints.txt --no-build-isolation -e '.[train,postgres,ray,test]'
	touch $@

# WordNet 3.0: what is there already, else Debian's package (as root), else NLTK's downloader.
wordnet: setup
	$(BIN)/python tools/get_wordnet.py

demo: setup wordnet
	$(BIN)/imagenet-builder demo $(DEMO)

test-setup: $(VENV)/.test-installed
	$(BIN)/python tools/get_test_parts.py

test: test-setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not soak and not gpu"

check: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The readers that releases are for, unmodified, in an environment without the program. timm and mosaicml-streaming
# come without their dependencies: those of the second bring the clients of four clouds.
READERS_VENV := .venv-readers
READERS := datasets webdataset mlcroissant tensorflow-cpu tensorflow-datasets importlib_resources pytest \
  pytest-timeout psutil
READERS_ALONE := timm mosaicml-streaming transformers tokenizers safetensors regex catalogue brotli zstd \
  python-snappy cramjam
READERS_PIP := $(READERS_VENV)/bin/python -m pip install --quiet -c constraints-readers.txt

$(READERS_VENV)/.installed: constraints-readers.txt
	$(PYTHON) -m venv $(READERS_VENV)
	$(READERS_PIP) $(TORCH)
	$(READERS_PIP) $(READERS)
	$(READERS_PIP) --no-deps $(READERS_ALONE)
	touch $@

test-readers: test-setup $(READERS_VENV)/.installed
	BUILDER_PYTHON=$(BIN)/python $(READERS_VENV)/bin/python -m pytest -c tests/readers/pytest.ini --rootdir . \
	  --confcutdir tests/readers -p no:cacheprovider tests/readers

soak: test-setup
	$(BIN)/python -m pytest -m soak --timeout 3600

constraints:
	$(BIN)/python -m pip list --format freeze --exclude-editable \
	  | grep -v -e '^imagenet-builder' -e '^pip=' | sed 's/+cpu//' > constraints.txt

clean:
	rm -rf $(VENV) $(READERS_VENV) build dist *.egg-info
