import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.predictions import predicted
from support.tiny_model import draw_photo

from maskinfer.data.folders import Failure, list_images
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.pipeline import predict_images
from maskinfer.inference.results import ImagePrediction

BAD = {3, 4, 11}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirteen photos, each with a score of its own; three of them unreadable, one blank."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(13):
        path = folder / f"{i:02}__[{2 * i}, 8, 24, 32]__{i % 2 == 0}.png"
        if i in BAD:
            path.write_bytes(b"junk")
        else:
            draw_photo(box_xywh=None if i == 7 else (2 * i, 8, 24, 32), blue=120 + i).save(path)
    return folder


def detect(model: Path, batch_size: int) -> MaskDetector:
    return MaskDetector(model, provider="cpu", batch_size=batch_size)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 32])
def test_each_image_gets_its_own_row_in_order(
    photos: Path, tiny_model: Path, batch_size: int, threads: int
) -> None:
    names = list_images(photos)
    with_failure = [*names, Failure("locked/", "cannot be listed")]
    results = list(
        predict_images(detect(tiny_model, batch_size), photos.joinpath, with_failure, threads)
    )
    assert results.pop() == with_failure[-1]
    assert [result.filename for result in results] == names
    for i, result in enumerate(results):
        if i in BAD:
            assert result == Failure(names[i], "not an image, or of an unknown format")
        elif i == 7:
            assert result == Failure(names[i], "the model's output is not finite")
        else:
            score = pytest.approx((120 + i) / 255)
            assert result == predicted(names[i], (2 * i, 8, 24, 32), True, score, 1.0, i % 2 == 0)


def test_names_are_taken_only_as_fast_as_they_are_predicted(photos: Path, tiny_model: Path) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for i in itertools.count():
            taken += 1
            yield f"{i}.jpg"  # vanished, each of them

    results = predict_images(detect(tiny_model, 4), photos.joinpath, endless(), threads=3)
    for done in range(1, 200):
        assert next(results) == Failure(f"{done - 1}.jpg", "No such file or directory")
        assert taken <= done + 3 * 4  # its own batch, and two that are ahead
    results.close()


def test_impossible_labels_are_repaired_before_they_are_compared(
    tmp_path: Path, tiny_model: Path
) -> None:
    names = []
    for label, box in (
        ("[-10, -20, 30, 40]", (0, 0, 20, 20)),  # clipped
        ("[40, 40, 999, 999]", (40, 40, 24, 24)),  # clipped
        ("[62, 0, 0, 2]", (62, 0, 2, 2)),  # grown to a pixel: half of the answer's two
    ):
        names.append(f"a__{label}__True.png")
        draw_photo(box_xywh=box).save(tmp_path / names[-1])
    results = predict_images(detect(tiny_model, 2), tmp_path.joinpath, names)
    assert [result.iou for result in results if isinstance(result, ImagePrediction)] == [
        1.0,
        1.0,
        0.5,
    ]
