"""Photos that cannot be read for a while, and what an image's own fault must not end."""

import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.predictions import recorded_names
from support.tiny_model import draw_photo

from maskinfer.data import patience
from maskinfer.data.folders import Failure
from maskinfer.data.sources import FolderSource, Source, open_source, survey
from maskinfer.errors import ImageError, TransientError, UnreachableError
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.pipeline import predict_images
from maskinfer.inference.predicting import PredictSettings, Summary, local_engine, predict_source


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Sixty photos in three folders."""
    for number in range(60):
        path = tmp_path / "photos" / f"{number // 20}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_photo(blue=120 + number).save(path)
    return tmp_path / "photos"


def predict(photos: Path, model: Path, on_progress: Callable[[int], object]) -> Summary:
    source = FolderSource(photos)
    settings = PredictSettings(images=photos, out=photos.parent / "p.csv", resume=True)
    detector = MaskDetector(model, "cpu", batch_size=2)
    engine = local_engine(detector, source, settings)
    return predict_source(engine, detector, source, survey(source), settings, on_progress)


def test_a_folder_that_is_gone_for_a_while_is_waited_for(photos: Path, tiny_model: Path) -> None:
    away = photos.with_name("away")

    def interrupt(done: int) -> None:
        if done == 6:
            photos.rename(away)
            threading.Timer(1.2, away.rename, [photos]).start()

    summary = predict(photos, tiny_model, interrupt)
    assert (summary.images, summary.failed) == (60, 0)


@pytest.mark.parametrize("shape", ["folders", "pattern", "list", "subfolder", "emptied"])
def test_whatever_names_the_photos_their_folder_is_waited_for(
    photos: Path, tiny_model: Path, shape: str, tmp_path: Path
) -> None:
    """As a disk that is unmounted and mounted again."""
    gone = photos if shape == "emptied" else photos / "1"
    names = "".join(f"{photos.name}/{name}\n" for name in FolderSource(photos))
    source: Source = {
        "folders": lambda: open_source((f"{photos}/0", f"{photos}/1")),
        "pattern": lambda: open_source((f"{photos}/1/*.png",)),
        "list": lambda: open_source(photos.parent, io.BytesIO(names.encode())),
    }.get(shape, lambda: open_source(photos))()
    count = survey(source).images
    away = tmp_path / "away"

    def back() -> None:
        if shape == "emptied":
            gone.rmdir()
        away.rename(gone)

    def interrupt(done: int) -> None:
        if done == min(26, count - 8):
            gone.rename(away)
            if shape == "emptied":
                gone.mkdir()
            threading.Timer(1.2, back).start()

    settings = PredictSettings(images=photos, out=tmp_path / "p.csv")
    detector = MaskDetector(tiny_model, "cpu", batch_size=2)
    engine = local_engine(detector, source, settings)
    summary = predict_source(engine, detector, source, survey(source), settings, interrupt)
    assert (summary.images, summary.failed) == (count, 0)


def test_a_folder_that_was_empty_or_never_there_is_not_waited_for(
    photos: Path, tiny_model: Path
) -> None:
    (photos / "empty").mkdir()
    names = ["0/00.png", "0/none.png", "empty/a.png", "never/a.png", "1/20.png"]
    source = open_source(photos, io.BytesIO("\n".join(names).encode()))
    detector = MaskDetector(tiny_model, "cpu", batch_size=2)
    began = time.monotonic()
    results = predict_images(detector, source.image, names, is_reachable=source.is_reachable)
    failed = [result.filename for result in results if isinstance(result, Failure)]
    assert failed == ["0/none.png", "empty/a.png", "never/a.png"]
    assert time.monotonic() - began < 5


def test_a_folder_that_stays_away_ends_the_prediction_which_goes_on_later(
    photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_PAUSES", (0.01, 0.02))
    away = photos.with_name("away")
    with pytest.raises(UnreachableError, match=r"cannot be reached .* --resume .* images are done"):
        predict(photos, tiny_model, lambda done: photos.rename(away) if done == 6 else None)
    assert len(recorded_names(photos.parent / "p.csv.partial")) >= 6
    away.rename(photos)
    summary = predict(photos, tiny_model, lambda done: None)
    assert (summary.images, summary.failed) == (60, 0)
    assert summary.kept >= 6


def test_a_process_that_may_open_no_more_files_loses_no_photo(
    photos: Path, tiny_model: Path
) -> None:
    """`predict` in a process of its own, whose limit is lowered once it runs."""
    code = (
        "import sys, resource, threading\n"
        "from maskinfer.data import patience; patience._PAUSES = (0.01, 0.02)\n"
        "from maskinfer.inference import predicting\n"
        "write = predicting.Journal.write\n"
        "def limited(self, result):\n"
        "    write(self, result)\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit("
        "resource.RLIMIT_NOFILE)[1]))\n"
        "predicting.Journal.write = limited\n"
        "from maskinfer.cli import main\n"
        "main()\n"
    )
    command = ["predict", photos, "--out", photos.parent / "p.csv", "--model", tiny_model]
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, command), "--batch-size", "2", "--provider", "cpu"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    assert "cannot be reached any more, Too many open files" in run.stderr
    summary = predict(photos, tiny_model, lambda done: None)
    assert (summary.images, summary.failed) == (60, 0)
    assert 0 < summary.kept < 60


def test_a_fault_that_may_pass_is_the_file_s_own_where_its_place_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "_PAUSES", (0.0,) * 6)
    tried: list[int] = []

    def read() -> int:
        tried.append(1)
        raise TransientError("input/output error")

    with pytest.raises(TransientError):
        patience.read_patiently(read, lambda: True)
    assert len(tried) == 3
    tried.clear()
    with pytest.raises(UnreachableError):
        patience.read_patiently(read, lambda: False)
    assert len(tried) == 7


def test_a_file_that_is_damaged_is_read_once() -> None:
    tried: list[int] = []

    def read() -> int:
        tried.append(1)
        raise ImageError("damaged")

    with pytest.raises(ImageError, match="damaged"):
        patience.read_patiently(read, lambda: True)
    assert len(tried) == 1


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("too deep"), ZeroDivisionError()])
def test_whatever_an_image_raises_is_its_own_failure(
    photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    detector = MaskDetector(tiny_model, "cpu", batch_size=2)
    make_canvas = MaskDetector.make_canvas

    def failing(self: MaskDetector, source: object) -> object:
        if str(source).endswith("03.png"):
            raise error
        return make_canvas(self, source)  # type: ignore[arg-type]

    monkeypatch.setattr(MaskDetector, "make_canvas", failing)
    names = list(FolderSource(photos))
    results = list(predict_images(detector, photos.joinpath, names))
    failed = [result for result in results if isinstance(result, Failure)]
    assert [failure.filename for failure in failed] == ["0/03.png"]
    assert failed[0].error.startswith(type(error).__name__)
    assert len(results) == 60
