# `make help` lists what is meant for people; the rest are its parts.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:
# In the order written: the machine is the tests' alone, and a summary closes `make test`.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON_BIN := $(VENV)/bin/python
FUZZ_SECONDS ?= 300
# What sanitizers print belongs to the failing test.
export ASAN_OPTIONS := abort_on_error=1:detect_leaks=1:strict_string_checks=1
export UBSAN_OPTIONS := print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS := halt_on_error=1:second_deadlock_stack=1
export QCACHE_FAILPOINT_SITE := $(CURDIR)/.build/failpoint-site
export PYTHONDONTWRITEBYTECODE := 1
unexport DJANGO_SETTINGS_MODULE

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

# ---------------------------------------------------------------- what people run

.PHONY: demo
demo: setup ## Caches real queries over 34,000 cities in several processes, and shows what a write does
	@$(PYTHON_BIN) sample/demo.py

.PHONY: shell
shell: setup ## A Django shell with the sample models and a little data
	@$(PYTHON_BIN) sample/manage.py migrate --verbosity=0 --skip-checks
	@$(PYTHON_BIN) sample/manage.py load_garage --skip-checks
	@echo "Manufacturer, Engine, Car, Driver; Person, Group, Membership; Country, City, Tag. Try:"
	@echo "  Car.objects.select_related('make').filter(drivers__first_name='Grace')"
	@$(PYTHON_BIN) sample/manage.py shell

.PHONY: test
test: setup-test test-c test-asan test-tsan test-valgrind test-fuzz test-bench model test-mutants test-conformance test-databases test-newest test-python ## Sets up and runs every test (C, sanitizers, valgrind, fuzzers, models, Python, wheel, other Pythons)

# Of tests/consistency/prove.py.
PROVE_ARGS ?= --seconds 240 --write

.PHONY: prove
prove: setup-test ## Never stale: races, kills and cuts on real databases, every read judged (25 minutes)
	@$(PYTHON_BIN) -m tests.consistency.prove $(PROVE_ARGS)

.PHONY: model
model: packages-test $(VENV)/.sample ## The protocol's models in Spin, and that each property fails when a step is taken out
	@echo "== models of the protocol"
	@$(PYTHON_BIN) model/run.py

.PHONY: mutants
mutants: setup-test ## Seeds faults in the protocol and its hooks; a test has to fail for each (about 25 minutes)
	@$(PYTHON_BIN) mutants/run.py $(MUTANTS_ARGS)

.PHONY: lint
lint: setup-lint ## Formatting, linters, types and static analysis
	@scripts/lint

.PHONY: bench
bench: setup-bench ## Measures hits, misses and writes beside no cache and other caches (10 minutes)
	@$(PYTHON_BIN) bench/run.py $(BENCH_ARGS)

.PHONY: counts
counts: setup packages-test ## Instructions of hot operations against bench/counts.json (COUNTS_ARGS=--write keeps them)
	@$(PYTHON_BIN) bench/counts.py $(COUNTS_ARGS)

# Of conformance/run.py.
CONFORMANCE_ARGS ?= --both --write

.PHONY: conformance
conformance: packages-test $(VENV)/.sample ## Django's own test suite with every model cached (about two hours)
	@$(PYTHON_BIN) conformance/run.py $(CONFORMANCE_ARGS)

.PHONY: test-apps
test-apps: setup-test ## Other applications with every model cached, and their own test suites
	@$(PYTHON_BIN) -m pytest -q tests/apps
	@$(PYTHON_BIN) tests/apps/suites.py

.PHONY: fuzz
fuzz: setup-test ## Fuzzes each parser for FUZZ_SECONDS (300)
	@scripts/fuzz $(FUZZ_SECONDS)

.PHONY: format
format: setup-lint ## Formats C and Python
	@scripts/lint --fix

.PHONY: clean
clean: ## Removes what was built (not the virtual environment)
	rm -rf .build dist sample/*.sqlite3* django_cache_manager/_engine*.so

# ---------------------------------------------------------------- set-up

.PHONY: setup setup-test setup-lint setup-bench engine
setup: packages-build $(VENV)/.sample engine

setup-test: packages-test $(VENV)/.sample $(VENV)/.test engine
	@scripts/build failpoints
	@scripts/place-engine failpoints

setup-lint: packages-lint $(VENV)/.sample $(VENV)/.test $(VENV)/.lint engine

# The newest Django runs on the newest Python at hand.
setup-bench: packages-bench $(VENV)/.sample $(VENV)/.bench engine
	@newest=$$(scripts/pythons | tail -n 1); \
	  case $$newest in 3.11*) ;; *) scripts/other-python $$newest ;; esac

.PHONY: packages-build packages-test packages-lint packages-bench
packages-build packages-test packages-lint packages-bench: packages-%:
	@scripts/system-packages $*

$(VENV)/.sample: requirements/build.txt requirements/sample.txt | packages-build
	@scripts/venv $(VENV) $^
	@touch $@

$(VENV)/.test: requirements/test.txt requirements/deploys.txt requirements/apps.txt $(VENV)/.sample
	@scripts/venv $(VENV) requirements/test.txt requirements/deploys.txt requirements/apps.txt
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.sample
	@scripts/venv $(VENV) $<
	@touch $@

$(VENV)/.lint: requirements/lint.txt $(VENV)/.sample
	@scripts/venv $(VENV) $<
	@touch $@

engine: $(VENV)/.sample
	@scripts/build engine
	@scripts/place-engine engine

# ---------------------------------------------------------------- tests

MESON_TEST := $(VENV)/bin/meson test --no-rebuild --print-errorlogs --num-processes 2

.PHONY: test-c test-asan test-tsan test-valgrind test-fuzz test-bench
.PHONY: test-conformance test-databases test-newest test-pythons test-python test-py test-wheel
test-c: setup-test
	@echo "== C tests"
	@scripts/build plain
	@$(MESON_TEST) -C .build/plain

test-asan: setup-test
	@echo "== C tests under AddressSanitizer and UndefinedBehaviorSanitizer"
	@scripts/build asan
	@$(MESON_TEST) -C .build/asan -t 4
	@echo "== the extension's tests under them"
	@scripts/test-extension-asan

test-tsan: setup-test
	@echo "== C tests under ThreadSanitizer"
	@scripts/build tsan
	@$(MESON_TEST) -C .build/tsan -t 6

test-valgrind: setup-test
	@echo "== C tests under valgrind"
	@scripts/build plain
	@$(MESON_TEST) -C .build/plain -t 10 --suite valgrind \
	  --wrapper "valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect"

test-fuzz: setup-test
	@echo "== fuzzers, 20 s each"
	@scripts/fuzz 20

test-bench: setup packages-test
	@echo "== benchmark of reads and save(), short form, against its limits"
	@$(PYTHON_BIN) bench/run.py --short --check --case rows-100 --case values-1000 --case count --case save
	@echo "== instructions of hot operations"
	@$(PYTHON_BIN) bench/counts.py

.PHONY: test-mutants
test-mutants: setup-test
	@echo "== seeded faults, short form"
	@$(PYTHON_BIN) mutants/run.py --short

test-conformance: packages-test $(VENV)/.sample
	@echo "== Django's own tests with every model cached: a selection, on SQLite"
	@$(PYTHON_BIN) conformance/run.py --selection --both --django 5.2 --database sqlite

test-databases: setup-test
	@scripts/test-databases

test-newest: setup-test
	@echo "== fields, raw() and compiled statements on the newest Django, where a Python for it is at hand"
	@scripts/test-pythons $(addprefix tests/py/,test_fields.py test_database_cascades.py test_raw.py test_inserts.py \
	  test_updates.py test_selects.py)

test-pythons: setup-test
	@echo "== Python tests on other Pythons"
	@scripts/test-pythons $(addprefix tests/py/,test_reads.py test_writes.py test_transactions.py \
	  test_fields.py test_raw.py engine)

test-python: setup-test
	@echo "== Python tests, wheel and sdist, other Pythons"
	@scripts/test-python

test-py: setup-test
	@$(PYTHON_BIN) -m pytest -q tests/py $(wildcard tests/consistency/*.py) $(PYTEST_ARGS)

test-wheel: setup-test
	@$(PYTHON_BIN) -m pytest -q tests/packaging $(PYTEST_ARGS)
