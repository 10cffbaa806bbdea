# The two commands are `make run` and `make test`. A target's comment is its line in `make help`.
SHELL = /bin/sh
BIN = .venv/bin
export UV_PYTHON_DOWNLOADS = never

.PHONY: help run test hapi check bench long round-trip mutants rule-mutants shots lock clean
.DEFAULT_GOAL = help

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## set everything up and start the sandbox with demo patients; Ctrl-C stops it
	@.ci/setup run
	@$(BIN)/hipway run --with-parent

test: ## set everything up and run every test this machine can run; ARGS='-k word' chooses
	@.ci/setup dev
	@$(BIN)/pytest $(ARGS)

hapi: ## start a HAPI FHIR server on 127.0.0.1:8090 with a database of its own (PORT=8095: elsewhere); needs a JDK 17 and Maven
	@.ci/setup dev
	@PYTHONPATH=tests $(BIN)/python -m hapi $(or $(PORT),8090)

check: ## formatting, lint, types and the direction of imports
	@.ci/setup dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: ## the benchmarks, as tables of ratios; ONLY=ingest runs one
	@.ci/setup dev
	@# One that ends with 2 has said what this machine lacks; the others go on, unless it was asked for.
	@for bench in tests/benchmarks/bench_$(or $(ONLY),*).py; do \
		echo; PYTHONPATH=tests $(BIN)/python $$bench || { status=$$?; test $$status = 2 -a -z "$(ONLY)" || exit $$status; }; done

long: ## play 100,000 Bundles while processes are killed, and fuzz 1,000,000 requests; BUNDLES, REQUESTS, SEED, report .hipway/long.txt
	@.ci/setup dev
	@mkdir -p .hipway
	@HIPWAY_CHAOS_BUNDLES=$(or $(BUNDLES),100000) HIPWAY_CHAOS_SEED=$(SEED) \
		HIPWAY_FUZZ_REQUESTS=$(or $(REQUESTS),1000000) HIPWAY_FUZZ_SEED=$(SEED) \
		$(BIN)/pytest -s tests/flows/test_chaos.py tests/fuzz >.hipway/long.txt 2>&1; \
		status=$$?; cat .hipway/long.txt; exit $$status

round-trip: ## results of 500 patients from a HAPI server and orders back, while it is stopped; PATIENTS, STOP_S and SEED choose others, the report is .hipway/round-trip.txt
	@.ci/setup dev
	@mkdir -p .hipway
	@HIPWAY_ROUND_TRIP_PATIENTS=$(or $(PATIENTS),500) HIPWAY_ROUND_TRIP_STOP_S=$(or $(STOP_S),60) \
		HIPWAY_ROUND_TRIP_SEED=$(SEED) HIPWAY_REQUIRE=hapi \
		$(BIN)/pytest -s tests/hapi/test_round_trip.py >.hipway/round-trip.txt 2>&1; \
		status=$$?; cat .hipway/round-trip.txt; exit $$status

mutants: $(if $(ONLY)$(SAMPLE),,rule-mutants) ## change the rules and the CQL engine and see which test notices; ONLY=strings, or SAMPLE=6 SEED=7
	@.ci/setup mutants
	@.venv.mutants/bin/python tests/mutants.py $(if $(ONLY),--only $(ONLY)) $(if $(SAMPLE),--sample $(SAMPLE) --seed '$(SEED)')

rule-mutants: ## change the rules alone; SAMPLE=30 SEED=7
	@.ci/setup dev
	@PYTHONPATH=tests $(BIN)/python tests/rule_mutants.py $(if $(SAMPLE),--sample $(SAMPLE) --seed '$(SEED)')

shots: ## pictures of every page and state into .hipway/shots/
	@.ci/setup dev
	@$(BIN)/python tests/shots.py .hipway/shots

lock: ## choose versions anew from pyproject.toml
	@.ci/setup dev
	@$(BIN)/python .ci/lock.py

clean: ## remove what can be made again; the data in .hipway/ stay
	@rm -rf .venv .venv.* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache mutants
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
