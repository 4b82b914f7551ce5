"""Large photos are decoded once, and come out the same."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskinfer.data.geometry import Geometry
from maskinfer.data.labels import Sample
from maskinfer.errors import TrainingError
from maskinfer.train.data import decoded as module
from maskinfer.train.data.batches import Item, Key, SampleCanvases
from maskinfer.train.data.decoded import DecodedPhotos


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """One small photo, and two large ones of which the second stands on its side."""
    rng, made = np.random.default_rng(0), []
    for name, wh in (("small", (120, 90)), ("large", (1600, 1200)), ("turned", (1600, 1200))):
        image = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(wh)
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "turned" else 1
        image.save(tmp_path / f"{name}.jpg", exif=exif)
        made.append(Sample(tmp_path / f"{name}.jpg", (10, 20, 50, 60), True))
    return made


def _drawn(samples: list[Sample], decoded: DecodedPhotos | None) -> list[Item]:
    canvases = SampleCanvases(samples, Geometry.letterbox(64), ("zoom",), 5, (64, 96), decoded)
    return [canvases[Key(2, i, i, side)] for side in (64, 96) for i in range(len(samples))]


def test_canvases_are_the_same_and_the_file_is_read_once(
    samples: list[Sample], tmp_path: Path
) -> None:
    kept = DecodedPhotos(tmp_path / "decoded")
    plain, first, second = (_drawn(samples, each) for each in (None, kept, kept))
    for a, b, c in zip(plain, first, second, strict=True):
        np.testing.assert_array_equal(a.canvas, b.canvas)
        np.testing.assert_array_equal(a.canvas, c.canvas)
        np.testing.assert_array_equal(a.label_xywh, c.label_xywh)
    assert {path.name for path in (tmp_path / "decoded").iterdir()} == {"1", "2"}
    for sample in samples[1:]:
        sample.path.unlink()
    np.testing.assert_array_equal(_drawn(samples, kept)[2].canvas, plain[2].canvas)
    kept.remove()
    with pytest.raises(TrainingError):
        _drawn(samples, kept)


def test_what_finds_no_room_is_decoded_each_time(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    kept = DecodedPhotos(tmp_path / "decoded")
    for a, b in zip(_drawn(samples, None), _drawn(samples, kept), strict=True):
        np.testing.assert_array_equal(a.canvas, b.canvas)
    assert not (tmp_path / "decoded").exists()


def test_a_disk_that_refuses_and_a_torn_file_cost_time_alone(
    samples: list[Sample], tmp_path: Path
) -> None:
    plain, folder = _drawn(samples, None), tmp_path / "decoded"
    folder.write_text("no folder")
    refused = _drawn(samples, DecodedPhotos(folder))
    folder.unlink()
    folder.mkdir()
    (folder / "1").write_bytes(b"torn")
    (folder / "2").write_bytes(np.array([1200, 1600, 800, 600], np.int64).tobytes())
    torn = _drawn(samples, DecodedPhotos(folder))
    for a, b, c in zip(plain, refused, torn, strict=True):
        np.testing.assert_array_equal(a.canvas, b.canvas)
        np.testing.assert_array_equal(a.canvas, c.canvas)
    shutil.rmtree(folder)
