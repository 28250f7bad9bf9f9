# Every target does its own set-up in .venv; nothing outside this folder is changed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run serve test check bench clean

run: .venv/app        ## open the app in the browser
	$(BIN)/streamlit run app.py

serve: .venv/app      ## open a public copy to the network, on port 8501: no training, import, deleting
	PIXELCNN_PUBLIC=1 $(BIN)/streamlit run app.py --server.address 0.0.0.0 \
		--server.headless true --server.maxUploadSize 2

test: .venv/dev       ## run all tests; browser tests need a Chromium, else they are skipped
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not browser"
	$(BIN)/python -m pytest -m browser

check: .venv/dev      ## format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

bench: .venv/app      ## measure the samplers, as ratios within one run
	PYTHONPATH=. $(BIN)/python benchmarks/sampling.py

.venv/app: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/dev: requirements.txt requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@ .venv/app

clean:                ## remove the environment
	rm -rf .venv
