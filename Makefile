# Two commands matter: `make run` and `make test`. Both make what they need.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv

.PHONY: bench-incidents run test test-slow lint train train-linkage train-incidents bench bench-quality bench-petitions bench-reading bench-linkage bench-bursts bench-policy bench-queue bench-similar bench-starving bench-streams locks env env-dev clean

run: env
	@exec setpriv --pdeathsig INT $(BIN)/triage serve

env: .venv/.runtime
env-dev: .venv/.dev

$(UV):
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or later is needed (set PYTHON=...)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

.venv/.runtime: requirements.txt pyproject.toml | $(UV)
	@test -e .venv/.dev || { $(UV) pip install --quiet --require-hashes -r requirements.txt && \
	$(UV) pip install --quiet --no-deps --no-build-isolation --editable . ; }
	@touch $@

.venv/.dev: requirements-dev.txt pyproject.toml | $(UV)
	$(UV) pip install --quiet --require-hashes -r requirements-dev.txt
	$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ .venv/.runtime

lint: env-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 3 --dist worksteal

test-slow: env-dev
	$(BIN)/python -m pytest -m slow

# The engine of reading from the texts in ml/texts; its card, ml/artifacts/reading.md, says how good it is on the exam.
train: env-dev
	$(BIN)/triage train reading ml/texts/complaints.jsonl ml/texts/short.jsonl --out ml/artifacts --examine-on tests/exam/complaints.jsonl

# The shipped parameters of linking people, from made-up records, without labels. A deployment trains on its own (triage train linkage).
train-linkage: env-dev
	$(BIN)/python -c "from pathlib import Path; from ml.synthetic.people import people, write; write(people(200_000, 7), Path('made-up-people-200000-7.parquet'))"
	$(BIN)/triage train linkage ml/artifacts/linkage.json --file made-up-people-200000-7.parquet
	rm made-up-people-200000-7.parquet

# The shipped scorecards of merchants and incidents, from made-up streams and grievances. A deployment may train on its own.
train-incidents: env-dev
	$(BIN)/python -c "from pathlib import Path; from ml.synthetic.streams import stream, write; write(Path('made-up-stream.parquet'), stream(20_000, 7).rows)"
	$(BIN)/python -c "from pathlib import Path; from ml.synthetic.streams import stream, write; write(Path('made-up-stream-dense.parquet'), stream(60_000, 7).rows)"
	$(BIN)/python -c "from pathlib import Path; from ml.synthetic.streams import write; from ml.synthetic.grievances import grievances; write(Path('made-up-grievances.parquet'), grievances(6_000, 7))"
	$(BIN)/triage train merchants ml/artifacts/merchants.json --file made-up-stream.parquet
	$(BIN)/triage train incidents ml/artifacts/incidents.json --file made-up-stream-dense.parquet --file made-up-grievances.parquet
	rm made-up-stream.parquet made-up-stream-dense.parquet made-up-grievances.parquet

bench: env-dev
	$(BIN)/python -m bench.service

bench-quality: env-dev
	$(BIN)/python -m bench.quality

bench-petitions: env-dev
	$(BIN)/python -m bench.quality $(FILE)

bench-reading: env-dev
	$(BIN)/python -m bench.reading $(FILE)

# Splink, the peer, is installed only here. The first figure needs FILE=complainants.parquet; HISTORICAL=... for the other schema.
bench-linkage: env-dev
	$(UV) pip install --quiet --require-hashes -r requirements-peer.txt
	$(BIN)/python -m bench.linkage $(if $(FILE),--file $(FILE)) $(if $(HISTORICAL),--historical $(HISTORICAL))

bench-streams: env-dev
	$(BIN)/python -m bench.streams $(FILE)

bench-bursts: env-dev
	$(BIN)/python -m bench.bursts

# 100,000 made-up fact sheets in the bundled database; service and database on one core.
bench-policy: env-dev
	$(BIN)/python -m bench.policy

# A million settled cases in the bundled database; takes some 6 GB of disk.
bench-similar: env-dev
	$(BIN)/python -m bench.similar

# A million items in the queue: claims against the bare SKIP LOCKED statement. Needs wrk.
bench-queue: env-dev
	$(BIN)/python -m bench.queue

# Mediators who can't keep up, for half a year of working days: how long which priority waits.
bench-starving: env-dev
	$(BIN)/python -m bench.starving

# FILE=complaints_20k.parquet adds the shared file's figures; PARTS=cost,crowd picks.
bench-incidents: env-dev
	$(BIN)/python -m bench.incidents $(if $(FILE),--file $(FILE)) $(if $(PARTS),--parts $(PARTS))

# New versions: edit pyproject.toml, then `make locks`, then read the diff.
locks: $(UV)
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --extra peer -c requirements-dev.txt pyproject.toml -o requirements-peer.txt

clean:
	rm -rf .venv .triage
