"""Every annotated face against what the tiny model predicts, which finds two a photo."""

import json
from pathlib import Path

import pytest
from PIL import Image
from support.tiny_model import draw_photo

from maskinfer import MaskDetector
from maskinfer.data.labels import Face
from maskinfer.data.side_lists import write_other_faces
from maskinfer.errors import DatasetError
from maskinfer.evaluation.all_faces import AllFacesEvaluation, evaluate_faces
from maskinfer.evaluation.face_metrics import Counts, PhotoVerdicts
from maskinfer.inference.results import Prediction

FIRST, SECOND = (16, 8, 24, 32), (44, 44, 16, 16)
NAME = "{}__[16, 8, 24, 32]__{}.png"


def two_faces(*, proper: bool = True, second_proper: bool = False, blue: int = 200) -> Image.Image:
    """A photo of two faces; the second scores half as much as the first."""
    return draw_photo(proper=proper, second_xywh=SECOND, second_proper=second_proper, blue=blue)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set's `test/`: two faces a photo but the last, listed beside it as imports do."""
    test = tmp_path / "data" / "test"
    test.mkdir(parents=True)
    two_faces().save(test / NAME.format("both right", True))
    two_faces(second_proper=True).save(test / NAME.format("second wrong", True))
    two_faces(proper=False).save(test / NAME.format("second not annotated", False))
    draw_photo().save(test / NAME.format("second missed", True))
    others = [
        ("test/" + NAME.format("both right", True), Face(SECOND, proper_mask=False)),
        ("test/" + NAME.format("second wrong", True), Face((44, 44, 99, 16), proper_mask=False)),
        ("test/" + NAME.format("second missed", True), Face(SECOND, proper_mask=False)),
    ]
    write_other_faces(tmp_path / "data", others)
    return test


def evaluated(folder: Path, model: Path, min_score: float = 0.1) -> AllFacesEvaluation:
    return evaluate_faces(MaskDetector(model, "cpu", face="all", min_score=min_score), folder)


def test_every_annotated_face_is_matched(folder: Path, tiny_model: Path) -> None:
    evaluation = evaluated(folder, tiny_model)
    photos = {photo.filename.partition("__")[0]: photo for photo in evaluation.answers}
    assert list(photos) == ["both right", "second missed", "second not annotated", "second wrong"]
    assert photos["both right"].labels == (Face(FIRST, True), Face(SECOND, False))
    assert photos["both right"].calls == (True, False)
    assert photos["second missed"].calls == (True, None)
    assert photos["second not annotated"].calls == (False,)
    assert photos["second wrong"].labels[1].box_xywh == (44, 44, 20, 16)  # repaired
    assert photos["second wrong"].calls == (True, True)
    counts = {n: (p.right, p.missed, p.invented, p.correct) for n, p in photos.items()}
    assert counts == {
        "both right": (2, 0, 0, True),
        "second missed": (1, 1, 0, False),
        "second not annotated": (1, 0, 1, True),
        "second wrong": (1, 0, 0, False),
    }
    (repair,) = evaluation.decisions
    assert (repair.action, repair.box_xywh) == ("repaired", (44, 44, 20, 16))
    assert not evaluation.only_named


def test_figures_of_labels_and_photos(folder: Path, tiny_model: Path) -> None:
    metrics = evaluated(folder, tiny_model).metrics
    assert metrics.by_label == {"proper": Counts(3, 4, 3), "improper": Counts(4, 3, 2)}
    assert metrics.any_label == Counts(7, 7, 6)
    assert metrics.by_label["improper"].precision == pytest.approx(2 / 3)
    assert metrics.by_label["improper"].recall == 0.5
    assert metrics.by_label["improper"].f1 == pytest.approx(4 / 7)
    # Each photo has someone without a proper mask.
    assert metrics.verdict == PhotoVerdicts(0, 0, 2, 2)
    assert metrics.verdict.balanced_accuracy == 0.5
    assert metrics.ap["proper"].ap50 == 1.0  # the wrong ones have half the score
    assert 0 < metrics.ap["improper"].ap50_95 <= metrics.ap["improper"].ap50 < 1
    assert metrics.ap50 == pytest.approx((1 + metrics.ap["improper"].ap50) / 2)
    small, large = metrics.sizes
    assert (small.low, small.high, small.faces, small.missed, small.miscalled) == (16, 32, 3, 1, 1)
    assert (large.low, large.faces, large.missed, large.name) == (32, 4, 0, "32–100 %")


def test_average_precision_takes_faces_below_the_least_score(
    folder: Path, tiny_model: Path
) -> None:
    low, high = evaluated(folder, tiny_model), evaluated(folder, tiny_model, 0.6)
    assert high.metrics.ap50 == low.metrics.ap50
    assert high.metrics.any_label == Counts(7, 4, 4)
    assert high.metrics.verdict == PhotoVerdicts(0, 0, 3, 1)


def test_what_is_found_in_a_crowd_counts_neither_way(folder: Path, tiny_model: Path) -> None:
    (folder.parent / "face_notes.csv").write_text(
        "filename,x,y,w,h,note\n"
        f'"test/{NAME.format("second not annotated", False)}",40,40,24,24,crowd\n'
        f'"test/{NAME.format("both right", True)}",0,0,64,64,crowd\n'
    )
    metrics = evaluated(folder, tiny_model).metrics
    assert metrics.any_label == Counts(7, 6, 6)  # the second, not annotated, was the seventh


def test_a_photo_without_a_face_has_nobody_to_look_at(folder: Path, tiny_model: Path) -> None:
    metrics = evaluated(folder, tiny_model, 0.9).metrics
    assert metrics.any_label == Counts(7, 0, 0)
    assert (metrics.any_label.precision, metrics.any_label.f1) == (None, 0.0)
    assert metrics.verdict == PhotoVerdicts(0, 0, 0, 0, 0, 4)
    assert metrics.verdict.accuracy == 0.0


def test_facts_fit_json(folder: Path, tiny_model: Path) -> None:
    detector = MaskDetector(tiny_model, "cpu", face="all", min_score=0.1)
    facts = json.loads(json.dumps(evaluate_faces(detector, folder).to_dict()))
    assert facts["choice"] == {"face": "all", "min_score": 0.1, "threshold": 0.5}
    assert facts["metrics"]["by_label"]["improper"]["ap50"] == pytest.approx(
        facts["metrics"]["ap50"] * 2 - 1
    )
    assert facts["metrics"]["verdict"]["balanced_accuracy"] == 0.5
    photo = facts["photos"][1]
    assert photo["filename"] == NAME.format("second missed", True)
    assert (photo["label"], photo["called"], photo["correct"]) == ("improper", "proper", False)
    assert [face["called"] for face in photo["faces"]] == ["proper", None]
    assert [face["face"] for face in photo["predicted"]] == [0]


def test_names_are_the_only_faces_where_nothing_is_listed(folder: Path, tiny_model: Path) -> None:
    (folder.parent / "other_faces.csv").unlink()
    evaluation = evaluated(folder, tiny_model)
    assert evaluation.only_named
    assert evaluation.metrics.any_label == Counts(4, 7, 4)


def test_unreadable_photos_are_failures_and_none_at_all_an_error(
    folder: Path, tiny_model: Path
) -> None:
    broken = folder / "9__[0, 0, 9, 9]__True.jpg"
    draw_photo((640, 640)).save(broken)
    broken.write_bytes(broken.read_bytes()[:1500])  # its header is whole
    evaluation = evaluated(folder, tiny_model)
    assert [failure.filename for failure in evaluation.failures] == [broken.name]
    assert (len(evaluation.answers), evaluation.failed) == (4, 1)
    for path in folder.glob("*.png"):
        path.unlink()
    with pytest.raises(DatasetError, match="none of 1 labelled images could be measured"):
        evaluated(folder, tiny_model)


def test_of_two_boxes_on_a_face_the_better_scored_is_right() -> None:
    from maskinfer.evaluation.photo_faces import PhotoFaces

    labels = (Face(FIRST, True), Face(SECOND, True))
    x, y, w, h = FIRST
    boxes = ((x, y, w, h - 4), FIRST)
    faces = tuple(Prediction(b, True, 0.9, s) for b, s in zip(boxes, (0.9, 0.8), strict=True))
    photo = PhotoFaces("a", (64, 64), labels, faces, 0.5)
    assert photo.matches.tolist() == [0, -1]
    assert (photo.calls, photo.invented) == ((True, None), 1)
    assert photo.sides() == pytest.approx([100 * (24 * 32) ** 0.5 / 64, 25])
