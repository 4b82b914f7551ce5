"""Small drawn data sets, made once."""

from pathlib import Path

import pytest

from maskinfer.train.synthetic import SynthSettings, write_samples


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 24 training and 8 test images."""
    folder = tmp_path_factory.mktemp("drawn data")
    write_samples(folder / "train", SynthSettings(count=24, seed=1, size_px=96))
    write_samples(folder / "test", SynthSettings(count=8, seed=2, size_px=96))
    return folder
