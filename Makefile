# `make run` and `make test` need Linux on x86-64 with Python 3.11+, venv and make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Tests wait half of the time, so more processes than cores, each with a database and a store of its own;
# two for slow ones, which stage whole fleets.
BESIDE = -n 3 $(BY_FILE)
BESIDE_FEW = -n 2 $(BY_FILE)
# In the order of tests/longest.py, where xdist would begin with files that have the most tests.
BY_FILE = --dist loadfile --no-loadscope-reorder --max-worker-restart 2

# Each process of a test run would compile all tests anew, and rewrite them.
test test-slow test-long: export PYTHONDONTWRITEBYTECODE =

LINT = $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache && scripts/gallery check

.PHONY: gallery gallery-if-can-be run fleet drill demo test test-slow test-long fuzz lint bench lock clean

# The page at `/`, built from web/ where that has changed.
gallery:
	@PYTHON=$(PYTHON) scripts/gallery

# Without the registries and a cache the service runs too, without its page.
gallery-if-can-be:
	@PYTHON=$(PYTHON) scripts/gallery try

# STORE=swift: with OpenStack's Swift and Keystone in place of SeaweedFS.
run: $(VENV)/.run gallery-if-can-be
	@[ "$(STORE)" != swift ] || scripts/debian-packages swift
	@exec $(BIN)/photo-api dev

# Needs nginx with its Lua module: installs it as root, else says so.
fleet: $(VENV)/.run gallery-if-can-be
	@scripts/debian-packages fleet
	@[ "$(STORE)" != swift ] || scripts/debian-packages swift
	@exec $(BIN)/photo-fleet up $(FLEET) $(if $(STORE),--store $(STORE)) --port $(or $(PORT),8080) --data $(or $(DATA),./data/fleet)

# Needs nginx and faketime too; takes about 20 minutes. DRILL="--list" shows what it does.
drill: $(VENV)/.run gallery-if-can-be
	@scripts/debian-packages drill
	@exec $(BIN)/photo-fleet drill $(DRILL)

demo: $(VENV)/.demo
	@exec $(BIN)/python -m photo_api_client.demo --url http://$(or $(HOST),127.0.0.1):$(or $(PORT),8000)

# What lints say comes while pytest collects, and counts at the end.
test: $(VENV)/.dev gallery
	@{ $(LINT); } & lint=$$!; $(BIN)/pytest $(BESIDE) -m "not slow and not long"; tests=$$?; \
	wait $$lint || { echo "make lint fails: see the begin, or run it alone" >&2; exit 1; }; exit $$tests

test-slow: $(VENV)/.dev gallery
	@exec $(BIN)/pytest $(BESIDE_FEW) -m slow

test-long: $(VENV)/.dev gallery
	@exec $(BIN)/pytest $(BESIDE_FEW) -m long

# Hostile inputs that nobody thought of: make fuzz MINUTES=30. What is found ends it, with the input.
fuzz: $(VENV)/.dev
	@exec scripts/fuzz $(or $(MINUTES),5)

lint: $(VENV)/.dev
	@$(LINT)

# BASE=http://host:port: beside another server that speaks the contract, into which it puts photos.
bench: $(VENV)/.dev gallery-if-can-be
	@exec $(BIN)/python -m bench $(BENCH) $(if $(BASE),--base $(BASE))

# Needs uv. The lock file itself would name the package index, so only its export is kept.
lock:
	uv lock -q
	uv export -q --no-header --no-emit-project --no-dev | sed '1i --no-binary pyvips' > requirements.txt
	uv export -q --no-header --no-emit-project --no-dev --extra fleet | sed '1i --no-binary pyvips' > requirements-fleet.txt
	uv export -q --no-header --only-group source -o requirements-build.txt
	uv export -q --no-header --no-emit-project --no-dev --all-extras --group build -o requirements-run.txt
	uv export -q --no-header --no-emit-project --all-extras --group build --group dev -o requirements-dev.txt
	uv export -q --no-header --no-annotate --only-group demo | awk '/^scikit-image/{on=1} on{print} on && !/\\$$/{exit}' > requirements-demo.txt
	uv pip compile -q --no-header --no-annotate --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28 tests/openstack/packages.in -o requirements-openstack.txt
	uv pip compile -q --no-header --no-annotate --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28 tests/openstack/heat.in -c requirements-openstack.txt $$(sed -n 's/^\([a-z0-9.-]*\)==.*/--no-emit-package \1/p' requirements-openstack.txt) -o requirements-heat.txt
	rm uv.lock

clean:
	rm -rf $(VENV)

$(VENV)/.run: requirements-run.txt scripts/setup
	@PYTHON=$(PYTHON) scripts/setup run

$(VENV)/.demo: requirements-demo.txt $(VENV)/.run
	@PYTHON=$(PYTHON) scripts/setup demo

$(VENV)/.dev: requirements-dev.txt requirements-demo.txt requirements-openstack.txt requirements-heat.txt scripts/setup scripts/debian-packages scripts/openstack-packages
	@PYTHON=$(PYTHON) scripts/setup dev
