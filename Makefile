# What CI runs is what a person runs: every target sets up first, and is quick the second time.
# Needs make, a POSIX shell and Python 3.11 or newer with venv and pip; `make PYTHON=python3.12 test` chooses another one.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
WATCHED = monitor schemas

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PYTHONUNBUFFERED := 1

# The stamp's name holds what was installed and where, so that a changed lock, a moved tree or another Python sets up anew,
# and a fresh checkout with new file times does not. A .venv that works is kept, unless another PYTHON was asked for.
ASKED  := $(if $(filter file default,$(origin PYTHON)),,$(PYTHON))
STAMP  := $(VENV)/.set-up-$(shell { echo "$(CURDIR) $(ASKED)"; cat requirements-dev.lock pyproject.toml; } | cksum | tr ' ' '-')
IS_NEW := -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
WORKS  := grep -qsF '$(CURDIR)/$(PY)' $(VENV)/bin/pip && $(PY) $(IS_NEW)

.DEFAULT_GOAL := help
.PHONY: help setup programs demo test torture check bench format schemas lock clean

help:      ## what there is to make
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

setup: $(STAMP)  ## .venv with the locked packages and this project

$(STAMP):
	@$(if $(ASKED),,{ $(WORKS); } ||) $(PYTHON) $(IS_NEW) || \
	  { echo 'jakwatch needs Python 3.11 or newer, $(PYTHON) is none: say for example make PYTHON=python3.12 setup' >&2; exit 2; }
	@{ $(WORKS) $(if $(ASKED),&& [ "$$($(PY) -V)" = "$$($(PYTHON) -V)" ]); } || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); }
	$(PY) -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --no-index --force-reinstall --editable .
	@rm -f $(VENV)/.set-up-* && touch $@

# What tests use beside Python: PROGRAM=PACKAGE of Debian. Where another system has them by other ways, nothing is fetched.
PROGRAMS = chromium=chromium promtool=prometheus amtool=prometheus-alertmanager openssl=openssl java=default-jre-headless
# The jars of a real Kafka are fetched once, by Maven, which nothing else needs.
KAFKA_LIBS = $(or $(JAKWATCH_KAFKA_LIBS),$(HOME)/.cache/jakwatch/kafka-4.1.1)
ifeq ($(wildcard $(KAFKA_LIBS)/kafka_*.jar),)
PROGRAMS += mvn=maven
endif
COPY_JARS = mvn -q -B -f tests/integration/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime
programs:  ## Chromium, Prometheus, Alertmanager, Java and Kafka, which tests use, if they are missing
	@missing=; for each in $(PROGRAMS); do command -v $${each%%=*} >/dev/null 2>&1 || missing="$$missing $${each#*=}"; done; \
	[ -z "$$missing" ] || { echo "fetching$$missing" >&2; as=; [ "$$(id -u)" = 0 ] || as=sudo; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { $$as apt-get update -qq && $$as apt-get install -y -qq --no-install-recommends$$missing fonts-dejavu-core >/dev/null; } || \
	  { echo "install$$missing in the way of your system, then say make test again" >&2; exit 2; }; }
	@[ -d '$(KAFKA_LIBS)' ] || { echo 'fetching Kafka into $(KAFKA_LIBS)' >&2; rm -rf '$(KAFKA_LIBS).part'; \
	  { $(COPY_JARS) -DoutputDirectory='$(KAFKA_LIBS).part' && mv '$(KAFKA_LIBS).part' '$(KAFKA_LIBS)'; } || \
	  { echo 'fetch what tests/integration/kafka/pom.xml names into a folder, and name it in JAKWATCH_KAFKA_LIBS' >&2; exit 2; }; }

demo: $(STAMP)  ## the live service in invented hospitals, until you stop it
	$(VENV)/bin/jakwatch demo $(ARGS)

test: $(STAMP) programs  ## all tests (ARGS: those that pytest is to run)
	$(PY) -m $(if $(ARGS),pytest $(ARGS),tools.test_all)

torture: $(STAMP) programs  ## the long versions: many more random cases, new ones each time, a hundred kills, and the stream under fire
	HYPOTHESIS_PROFILE=torture $(PY) -m pytest tests/property $(ARGS)
	JAKWATCH_KILLS=100 $(PY) -m pytest tests/integration/test_killed_and_restarted.py $(ARGS)
	JAKWATCH_FIRE=1 $(PY) -m pytest tests/integration/test_stream_under_fire.py -o faulthandler_timeout=3600 $(ARGS)

check: $(STAMP) programs  ## style, types, layers, generated files, the default policy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --strict $(WATCHED)
	$(VENV)/bin/lint-imports --no-logo
	$(PY) -m schemas.generate --check
	$(PY) -m tools.commands_page --check
	$(PY) -m tools.metrics_page --check
	$(PY) -m tools.dashboards --check
	$(PY) -m tools.compose_check
	promtool check rules --lint=all --lint-fatal alerts/rules/*.yaml
	promtool check config deploy/prometheus/prometheus.yml
	amtool check-config deploy/alertmanager/alertmanager.yml
	$(VENV)/bin/jakwatch policy check

# Another stream processor, in an environment of its own: what it needs need not agree with what we lock.
PEERS := .venv-peers/.set-up
$(PEERS): benchmarks/peers/requirements.lock
	rm -rf .venv-peers && $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

bench: $(STAMP) programs $(PEERS)  ## how fast, how much memory, and against which goals
	$(PY) -m benchmarks $(ARGS)

format: $(STAMP)  ## mend what ruff can mend, and the generated pages
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	$(PY) -m tools.commands_page
	$(PY) -m tools.metrics_page
	$(PY) -m tools.dashboards

schemas: $(STAMP)  ## JSON Schema, examples and reference page from the models
	$(PY) -m schemas.generate

# A lock carries the digests of every platform's files and names no registry: where packages come from is the reader's affair.
LOCK := .venv-lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --fork-strategy fewest \
        --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(ARGS)
lock:      ## new requirements*.lock after a change of dependencies (ARGS=--upgrade: newest versions)
	[ -x .venv-lock/bin/uv ] || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv; }
	$(LOCK) --output-file requirements.lock
	$(subst pyproject.toml,benchmarks/peers/requirements.in,$(LOCK)) --output-file benchmarks/peers/requirements.lock
	$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:     ## remove .venv and what tools left behind
	rm -rf $(VENV) .venv-lock .venv-peers .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
