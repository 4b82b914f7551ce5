.PHONY: check test

# mypy does not follow the mapping of train/ and export/ to maskinfer.train and maskinfer.export, so
# it checks the package as it installs.
check:
	ruff check .
	ruff format --check .
	rm -rf build
	pip install --quiet --no-deps --target build/types .
	cd build/types && mypy --config-file ../../pyproject.toml -p maskinfer

test:
	pytest
