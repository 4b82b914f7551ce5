import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.tiny_model import draw_photo, write_model

import maskinfer
from maskinfer import ImagePrediction, MaskDetector, Prediction
from maskinfer.data.folders import Failure
from maskinfer.data.geometry import Geometry
from maskinfer.errors import ImageError, UsageError
from maskinfer.inference.choosing import FaceRule
from maskinfer.runtime.model_file import WorkingPoint
from maskinfer.runtime.session import Outputs


@pytest.fixture
def detector(tiny_model: Path) -> MaskDetector:
    return MaskDetector(tiny_model, provider="cpu", batch_size=4)


def in_bytes(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def test_one_source_gives_one_prediction_and_a_list_gives_a_list(
    detector: MaskDetector, tmp_path: Path
) -> None:
    photo = draw_photo(box_xywh=(16, 8, 24, 32), blue=204)
    photo.save(tmp_path / "a.png")
    expected = Prediction((16, 8, 24, 32), True, 1.0, pytest.approx(0.8))
    sources = [photo, np.asarray(photo), in_bytes(photo), tmp_path / "a.png", f"{tmp_path}/a.png"]
    for source in sources:
        assert detector(source) == expected
        assert detector([source]) == [expected]
    assert detector(sources) == [expected] * 5
    assert detector(tuple(sources)) == [expected] * 5
    assert detector([]) == []


def test_predictions_come_in_the_order_of_the_images(detector: MaskDetector) -> None:
    photos = [
        draw_photo(box_xywh=(2 * i, 8, 24, 32), proper=i % 3 > 0, blue=120 + i) for i in range(11)
    ]
    predictions = detector(photos)
    assert [p.box_xywh for p in predictions] == [(2 * i, 8, 24, 32) for i in range(11)]
    assert [p.proper_mask for p in predictions] == [i % 3 > 0 for i in range(11)]
    assert [round(p.score * 255) for p in predictions] == [120 + i for i in range(11)]


@pytest.mark.parametrize(
    ("size_wh", "box_xywh"),
    [
        pytest.param((64, 64), (0, 0, 64, 64), id="whole image"),
        pytest.param((64, 64), (62, 62, 2, 2), id="corner"),
        pytest.param((128, 64), (40, 8, 32, 16), id="wide"),
        pytest.param((64, 128), (8, 40, 16, 32), id="high"),
        pytest.param((640, 320), (100, 60, 220, 160), id="large"),
        pytest.param((16, 16), (4, 4, 8, 8), id="enlarged"),
    ],
)
def test_box_comes_back_in_image_pixels(
    detector: MaskDetector, size_wh: tuple[int, int], box_xywh: tuple[int, int, int, int]
) -> None:
    prediction = detector(draw_photo(size_wh, box_xywh))
    assert prediction.box_xywh == box_xywh
    assert all(type(value) is int for value in prediction.box_xywh)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_box_refers_to_the_upright_image(
    detector: MaskDetector, tmp_path: Path, orientation: int, kind: str
) -> None:
    upright = draw_photo((128, 64), (16, 8, 48, 24))
    stored = upright
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    if orientation in undo:
        stored = upright.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo", kind, exif=exif)
    assert detector(tmp_path / "photo").box_xywh == (16, 8, 48, 24)


def test_center_crop_carries_boxes_back_too(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", geometry=Geometry("center_crop", 32, 40))
    detector = MaskDetector(model, provider="cpu")
    # 160 x 80 becomes 40 x 40, minus 4 pixels at each side: 16 and 8 pixels of the photo.
    assert detector(draw_photo((160, 80), (40, 20, 64, 32))).box_xywh == (40, 20, 64, 32)
    assert detector(draw_photo((160, 80), (0, 0, 160, 80))).box_xywh == (16, 8, 128, 64)


def test_box_stays_inside_and_keeps_a_pixel_where_the_network_s_lies_outside(
    detector: MaskDetector,
) -> None:
    _, placement = detector.make_canvas(draw_photo((16, 64)))  # 8 of 32 canvas pixels wide
    canvas = np.asarray(draw_photo((32, 32), (20, 4, 8, 8)))  # the box right of the photo
    (faces,) = detector.predict_canvases([canvas], [placement])
    assert faces is not None
    assert faces[0].box_xywh == (15, 8, 1, 16)


@pytest.mark.parametrize(
    ("threshold", "proper"), [(0.2, True), (114 / 255, True), (0.45, False), (1.0, False)]
)
def test_threshold_of_the_model_file_decides(
    tmp_path: Path, threshold: float, proper: bool
) -> None:
    model = write_model(tmp_path / "m.onnx", one_face=WorkingPoint(threshold=threshold))
    # No green in the photo; the grey of the padding, 114, is the greatest of the canvas.
    prediction = MaskDetector(model, provider="cpu")(draw_photo((128, 64), proper=False))
    assert prediction.probability == pytest.approx(114 / 255)
    assert prediction.proper_mask is proper


def test_output_that_is_not_finite_concerns_its_image_alone(detector: MaskDetector) -> None:
    good, bad = draw_photo(), draw_photo(box_xywh=None)
    drawn = [detector.make_canvas(photo) for photo in (good, bad, good)]
    predictions = detector.predict_canvases([d[0] for d in drawn], [d[1] for d in drawn])
    assert predictions == [(detector(good),), None, (detector(good),)]
    with pytest.raises(ImageError, match=r"image 1: the model's output is not finite"):
        detector([good, bad])


@pytest.mark.parametrize("column", ["proper_mask", "score"])
@pytest.mark.parametrize("value", [1.5, -0.5])
def test_a_score_or_probability_that_is_none_is_not_finite(
    detector: MaskDetector, monkeypatch: pytest.MonkeyPatch, column: str, value: float
) -> None:
    run = detector.session.run

    def beyond(canvases: np.ndarray) -> Outputs:
        outputs = run(canvases)
        return outputs._replace(**{column: np.full_like(outputs.score, value)})

    monkeypatch.setattr(detector.session, "run", beyond)
    with pytest.raises(ImageError, match="the model's output is not finite"):
        detector(draw_photo())


def test_unreadable_image_is_named(detector: MaskDetector, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("not an image")
    with pytest.raises(ImageError, match=r"bad\.jpg: not an image"):
        detector(tmp_path / "bad.jpg")
    with pytest.raises(ImageError, match=r"no\.jpg: .*No such file"):
        detector([draw_photo(), str(tmp_path / "no.jpg")])
    with pytest.raises(ImageError, match=r"image 5 \(bytes\): not an image"):
        detector([draw_photo()] * 5 + [b"junk"])
    with pytest.raises(ImageError, match=r"image 0 \(array\): array of float64"):
        detector(np.zeros((4, 4, 3)))


def test_image_of_too_many_pixels_is_refused(tiny_model: Path) -> None:
    detector = MaskDetector(tiny_model, provider="cpu", max_pixels=64 * 64)
    assert detector.max_pixels == 64 * 64
    assert detector(in_bytes(draw_photo())).box_xywh == (16, 8, 24, 32)
    with pytest.raises(ImageError, match="more than 4096 pixels"):
        detector(in_bytes(draw_photo((64, 66))))


def test_large_jpeg_is_decoded_at_what_the_canvas_needs(detector: MaskDetector) -> None:
    photo = draw_photo((1024, 512), (128, 64, 256, 128))
    assert detector(in_bytes(photo, "JPEG")) == detector(photo)


def test_missing_model_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="no such model file"):
        MaskDetector("nowhere.onnx")


def test_package_gives_the_detector_and_stays_light() -> None:
    assert maskinfer.MaskDetector is MaskDetector
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        maskinfer.Nothing  # noqa: B018
    heavy = "import sys, maskinfer; print({'numpy', 'onnxruntime', 'PIL'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", heavy], capture_output=True, check=True)
    assert printed.stdout.strip() == b"set()"


@pytest.mark.parametrize("size_wh", [(0, 5), (5, 0), (0, 0)])
def test_empty_image_is_refused(detector: MaskDetector, size_wh: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="image 0: an empty image"):
        detector(Image.new("RGB", size_wh))


TWO = draw_photo(
    (32, 32), (8, 4, 12, 16), proper=False, blue=204, second_xywh=(1, 22, 6, 8), second_proper=True
)
FIRST = Prediction((8, 4, 12, 16), False, 0.0, pytest.approx(0.8))
SECOND = Prediction((1, 22, 6, 8), True, 1.0, pytest.approx(0.4))


def test_every_face_is_given_best_first(detector: MaskDetector) -> None:
    assert detector.faces([TWO, draw_photo()]) == [[FIRST, SECOND], [detector(draw_photo())]]
    assert detector.faces([]) == []


@pytest.mark.parametrize(
    ("face", "expected"),
    [("main", FIRST), ("best", FIRST), ("largest", FIRST), ("left", SECOND), ("all", FIRST)],
)
def test_the_face_asked_for_is_given(tiny_model: Path, face: FaceRule, expected: object) -> None:
    detector = MaskDetector(tiny_model, "cpu", face=face)
    assert detector(TWO) == expected
    assert detector.faces([TWO]) == [[FIRST, SECOND]]


def test_where_no_face_scores_enough_there_is_none(tiny_model: Path) -> None:
    detector = MaskDetector(tiny_model, "cpu", min_score=0.5)
    faint = draw_photo(blue=120)
    assert detector(faint) is None
    assert detector([TWO, faint]) == [FIRST, None]
    assert detector.faces([TWO, faint]) == [[FIRST], []]


def test_working_points_of_the_model_file_hold_where_none_is_given(tmp_path: Path) -> None:
    model = write_model(
        tmp_path / "m.onnx", one_face=WorkingPoint(0.9, 0.5), all_faces=WorkingPoint(0.5, 0.5)
    )
    assert MaskDetector(model, "cpu")(TWO) is None
    assert MaskDetector(model, "cpu", min_score=0.1)(TWO) == FIRST
    assert MaskDetector(model, "cpu").faces([TWO]) == [[FIRST]]
    assert MaskDetector(model, "cpu", min_score=0.1).faces([TWO]) == [[FIRST, SECOND]]


def test_images_are_streamed_and_one_that_is_unreadable_is_a_failure(
    detector: MaskDetector, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_text("not an image")
    TWO.save(tmp_path / "two.png")
    paths = [tmp_path / "two.png", tmp_path / "bad.jpg", tmp_path / "two.png"]
    taken = []

    def names() -> Iterator[Path]:
        for path in paths * 40:
            taken.append(path)
            yield path

    results = detector.stream(names())
    assert next(results) == ImagePrediction(str(paths[0]), (FIRST,))
    assert len(taken) < 40
    failure = next(results)
    assert isinstance(failure, Failure)
    assert failure.error == "not an image, or of an unknown format"
    assert len(list(results)) == 118


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"face": "right"}, "face: got 'right', expected main, left"),
        ({"min_score": 1.5}, "--min-score: got 1.5, expected 0 to 1"),
        ({"threshold": -1.0}, "--threshold: got -1.0, expected 0 to 1"),
        ({"canvas": 64}, "--canvas 64: .* reads canvases of 32 px only"),
    ],
)
def test_what_a_model_cannot_do_is_refused(
    tiny_model: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        MaskDetector(tiny_model, "cpu", **options)


def test_every_face_is_not_asked_of_a_model_that_finds_one(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", faces=1)
    assert MaskDetector(model, "cpu", face="left")(TWO) == FIRST
    with pytest.raises(UsageError, match="--face all: this tiny finds one face a photo"):
        MaskDetector(model, "cpu", face="all")
    with pytest.raises(UsageError, match="finds one face a photo"):
        MaskDetector(model, "cpu").faces([TWO])


def test_a_model_of_free_canvas_reads_larger_ones(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.onnx", free_canvas=True)
    photo = draw_photo((128, 128), (41, 7, 35, 51))
    assert MaskDetector(model, "cpu")(photo) != MaskDetector(model, "cpu", canvas=128)(photo)
    found = MaskDetector(model, "cpu", canvas=128)(photo)
    assert found is not None
    assert found.box_xywh == (41, 7, 35, 51)
    for canvas in (100, 16, 0):
        with pytest.raises(UsageError, match=f"got {canvas}, expected a multiple of 32"):
            MaskDetector(model, "cpu", canvas=canvas)
