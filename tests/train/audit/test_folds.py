import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.data.labels import Label, format_name, parse_name
from maskinfer.errors import RunError, UsageError
from maskinfer.evaluation.labelled import LabelledPrediction
from maskinfer.train.audit.folds import AuditPlan, audit_folds
from maskinfer.train.data.pool import deal, read_pool
from maskinfer.train.display import Display
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.runs.folder import RunFolder

pytestmark = pytest.mark.slow


def plan_of(data: Path, folds: int = 2, epochs: int = 2) -> AuditPlan:
    settings = recipe_settings("lite", "audit", (str(data),), 64)
    settings = replace(settings, weights="none", epochs=epochs, batch_size=8, workers=0)
    return AuditPlan(str(data), folds, settings)


@pytest.fixture(scope="module")
def whole(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> list[LabelledPrediction]:
    """What an audit that nothing stops finds."""
    return audit_folds(plan_of(drawn), tmp_path_factory.mktemp("whole"), Display())[0]


class Stops(Display):
    """Interrupts when so many parts of epochs have begun."""

    def __init__(self, after: int) -> None:
        self.left = after

    def begin(self, what: str, steps: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@given(st.integers(1, 60), st.integers(2, 6), st.integers(0, 9), st.integers(1, 4))
def test_folds_are_of_one_size_and_never_part_a_photo(
    photos: int, folds: int, seed: int, faces: int
) -> None:
    names = [f"photo {index // faces}" for index in range(photos * faces)]
    dealt = deal(names, folds, seed)
    assert len(dealt) == len(names)
    assert dealt == deal(names, folds, seed)
    assert len({(name, fold) for name, fold in zip(names, dealt, strict=True)}) == photos
    sizes = [
        len({n for n, its in zip(names, dealt, strict=True) if its == f}) for f in range(folds)
    ]
    assert max(sizes) - min(sizes) <= max(2, photos // (10 * folds) + 12 // folds + 2)
    assert photos < folds or min(sizes) > 0


def test_every_image_is_judged_once_by_a_network_that_did_not_learn_it(
    drawn: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(drawn, data)
    impossible = sorted((data / "train").glob("*.jpg"))[0]
    label = parse_name(impossible.name)
    named = format_name(Label(label.id, (-4, 2, 30, 30), label.proper_mask))
    impossible.rename(impossible.with_name(named))
    opinions, decisions = audit_folds(plan_of(data), tmp_path / "audit", Display())
    names = [opinion.filename for opinion in opinions]
    assert sorted(names) == sorted(p.relative_to(data).as_posix() for p in data.rglob("*.jpg"))
    assert len(names) == len(set(names)) == 35
    assert [(d.filename, d.action) for d in decisions] == [(f"train/{named}", "repaired")]
    held = learnt = 0
    for fold in ("1", "2"):
        (config,) = (tmp_path / "audit" / "folds" / fold).glob("*/config.json")
        counts = RunFolder(config.parent).read_config().data["counts"]
        held += sum(counts["test"].values())
        learnt += sum(counts["train"].values())
        assert not (config.parent / "last").exists()
    assert held == 35
    assert learnt == 34  # of two folds each image is learned once, but for the impossible box
    for opinion in opinions:
        assert opinion.face is not None
        x, y, w, h = opinion.face.box_xywh
        assert x >= 0 <= y
        assert w >= 1 <= h
        assert x + w <= 200
        assert 0 <= opinion.probability <= 1
        assert opinion.label_proper == ("True" in opinion.filename)


@pytest.mark.parametrize("stop", [1, 3, 5, 8])
def test_an_audit_that_was_stopped_resumes_to_the_same_end(
    drawn: Path, tmp_path: Path, stop: int, whole: list[LabelledPrediction]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        audit_folds(plan_of(drawn), tmp_path / "stopped", Stops(stop))
    plan = AuditPlan.read(tmp_path / "stopped")
    resumed, _ = audit_folds(plan, tmp_path / "stopped", Display())
    assert resumed == whole


def test_an_audit_of_changed_data_is_refused(drawn: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(drawn, data)
    with pytest.raises(KeyboardInterrupt):
        audit_folds(plan_of(data), tmp_path / "audit", Stops(2))
    next((data / "train").glob("*.jpg")).unlink()
    plan = AuditPlan.read(tmp_path / "audit")
    with pytest.raises(RunError, match="has changed since this audit began"):
        audit_folds(plan, tmp_path / "audit", Display())


def test_what_cannot_be_audited_is_refused(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--folds: got 40, expected at most its 35 photos"):
        audit_folds(plan_of(drawn, folds=40), tmp_path / "a", Display())
    with pytest.raises(RunError, match="no audit to resume"):
        AuditPlan.read(tmp_path)
    (tmp_path / "audit.json").write_text(json.dumps({"data": "x"}))
    with pytest.raises(RunError, match="damaged"):
        AuditPlan.read(tmp_path)


def test_a_folder_without_splits_is_audited_too(drawn: Path) -> None:
    pool = read_pool(drawn / "test")
    assert len(pool.samples) == 11
    assert all(pool.possible)
    assert len(set(pool.photos)) == 11


def test_a_new_audit_takes_nothing_of_an_earlier_one(drawn: Path, tmp_path: Path) -> None:
    for fold in ("1", "2"):
        stale = tmp_path / "audit" / "folds" / fold / "answers.json"
        stale.parent.mkdir(parents=True)
        stale.write_text(json.dumps([[[0, 0, 1, 1], 0.123, 0.5]] * 17))
    plan = plan_of(drawn, epochs=1)
    opinions, _ = audit_folds(plan, tmp_path / "audit", Display())
    assert 0.123 not in {opinion.probability for opinion in opinions}


@pytest.mark.parametrize("lost", ["answers.json", "last"])
def test_an_audit_killed_between_two_files_resumes(drawn: Path, tmp_path: Path, lost: str) -> None:
    """After the training and before the answers; within the first epoch's own files."""
    whole, _ = audit_folds(plan_of(drawn, epochs=1), tmp_path / "audit", Display())
    fold = tmp_path / "audit" / "folds" / "2"
    (fold / "answers.json").unlink()
    if lost == "last":
        (run,) = (path.parent for path in fold.glob("*/config.json"))
        (run / "history.csv").unlink()
    resumed, _ = audit_folds(AuditPlan.read(tmp_path / "audit"), tmp_path / "audit", Display())
    assert resumed == whole


def test_copies_are_of_one_photo(drawn: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(drawn, data)
    first = sorted((data / "train").glob("*.jpg"))[0]
    shutil.copy(first, data / "test" / f"copy{first.name}")
    pool = read_pool(data)
    assert len(pool.samples) == 36
    assert len(set(pool.photos)) == 35


@pytest.mark.parametrize("text", ['"abc"', "[1]", "{", '{"settings": 3}'])
def test_a_damaged_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.json").write_text(text)
    with pytest.raises(RunError, match="damaged"):
        AuditPlan.read(tmp_path)
