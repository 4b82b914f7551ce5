"""Average precision against COCO's own code, and by hand."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskinfer.data.boxes import iou_xywh
from maskinfer.evaluation.average_precision import (
    MOST_DETECTIONS,
    Detected,
    average_precision,
    match_greedily,
)

BOX = (10.0, 10.0, 20.0, 20.0)
HALF = (10.0, 10.0, 20.0, 10.0)  # overlaps it by a half


def detected(faces: Any, boxes: Any, confidence: Any) -> Detected:
    return Detected(
        np.array(faces, dtype=np.float64).reshape(-1, 4),
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(confidence, dtype=np.float64),
    )


def by_coco(images: list[Detected]) -> tuple[float, float]:
    """AP50 and AP50:95 by pycocotools."""
    truth, results = COCO(), []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, start=1):
        for box in image.faces_xywh.tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
        for box, score in zip(image.boxes_xywh.tolist(), image.confidence.tolist(), strict=True):
            results.append({"image_id": number, "category_id": 1, "bbox": box, "score": score})
    truth.dataset = {
        "images": [{"id": number} for number in range(1, len(images) + 1)],
        "annotations": annotations,
        "categories": [{"id": 1}],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        coco = COCOeval(truth, truth.loadRes(results), "bbox")
        coco.evaluate()
        coco.accumulate()
        coco.summarize()
    return coco.stats[1], coco.stats[0]


def drawn(seed: int, images: int) -> list[Detected]:
    """Faces, and detections some of which are near them; many confidences are alike."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(images):
        faces = np.concatenate([rng.uniform(0, 80, (4, 2)), rng.uniform(5, 40, (4, 2))], axis=1)
        faces = faces[: rng.integers(0, 5)]
        near = np.repeat(faces, 2, axis=0) + rng.normal(0, 2.5, (2 * len(faces), 4))
        near[:, 2:] = np.maximum(near[:, 2:], 1)
        apart = rng.uniform(1, 60, (rng.integers(0, 4), 4))
        boxes = np.concatenate([near, apart])
        made.append(detected(faces, boxes, rng.uniform(0, 1, len(boxes)).round(1)))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_coco_s(seed: int) -> None:
    images = drawn(seed, 25)
    figures = average_precision(images)
    assert figures is not None
    assert 0.05 < figures.ap50_95 < figures.ap50 < 0.95
    assert (figures.ap50, figures.ap50_95) == pytest.approx(by_coco(images), abs=1e-12)


def test_of_one_image_no_more_detections_count_than_coco_takes() -> None:
    boxes = [(200.0, 200.0, 5.0, 5.0)] * MOST_DETECTIONS + [BOX]
    images = [
        detected([BOX], boxes, np.linspace(0.9, 0.1, len(boxes))),
        detected([BOX], [BOX], [0.95]),
    ]
    figures = average_precision(images)
    assert figures is not None
    assert (figures.ap50, figures.ap50_95) == pytest.approx(by_coco(images), abs=1e-12)
    assert figures.ap50 == pytest.approx(51 / 101)


@pytest.mark.parametrize(
    ("images", "ap50", "ap50_95"),
    [
        pytest.param([([BOX], [], [])], 0.0, 0.0, id="nothing-detected"),
        pytest.param([([BOX], [BOX], [0.2])], 1.0, 1.0, id="one"),
        pytest.param([([BOX], [HALF], [0.9])], 1.0, 0.1, id="half-the-face"),
        pytest.param([([BOX], [BOX, BOX], [0.9, 0.8])], 1.0, 1.0, id="the-second-is-wrong"),
        pytest.param([([BOX], [HALF, BOX], [0.9, 0.8])], 1.0, 0.55, id="the-worse-box-first"),
        pytest.param([([BOX], [BOX], [0.1]), ([], [BOX], [0.9])], 0.5, 0.5, id="an-image-without"),
        pytest.param([([BOX], [BOX], [0.9]), ([BOX], [], [])], 51 / 101, 51 / 101, id="half-found"),
    ],
)
def test_known_precisions(images: Any, ap50: float, ap50_95: float) -> None:
    made = [detected(*image) for image in images]
    figures = average_precision(made)
    assert figures is not None
    assert (figures.ap50, figures.ap50_95) == pytest.approx((ap50, ap50_95))
    assert figures.precision.mean() == pytest.approx(ap50)


@pytest.mark.parametrize("images", [[], [([], [], [])], [([], [BOX], [0.9])]])
def test_without_a_face_there_is_no_precision(images: Any) -> None:
    assert average_precision([detected(*image) for image in images]) is None


_boxes = st.lists(
    st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 12)] * 2), min_size=0, max_size=6
)


@given(_boxes, _boxes, st.sampled_from([0.01, 0.5, 0.95]))
def test_each_face_is_matched_at_most_once_and_only_where_it_overlaps_enough(
    boxes: Any, faces: Any, least: float
) -> None:
    a, b = (np.array(some, dtype=np.float64).reshape(-1, 4) for some in (boxes, faces))
    iou = iou_xywh(a[:, None], b[None])
    matched = match_greedily(iou, least)
    taken = [face for face in matched.tolist() if face >= 0]
    assert len(taken) == len(set(taken))
    free = set(range(len(faces)))
    for row, face in zip(iou, matched.tolist(), strict=True):
        enough = {other for other in free if row[other] >= least}
        assert (face >= 0) == bool(enough)
        if face >= 0:
            assert row[face] == max(row[other] for other in enough)
            free.remove(face)


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_order_of_images_and_scale_of_confidences_play_no_part(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = drawn(seed, 5)
    # Distinct, as COCO's order of equal confidences is that of the images.
    images = [image._replace(confidence=rng.random(len(image.confidence))) for image in images]
    turned = [image._replace(confidence=image.confidence**3) for image in reversed(images)]
    one, other = average_precision(images), average_precision(turned)
    if one is None or other is None:
        assert one is other
        return
    assert one.ap50 == pytest.approx(other.ap50)
    assert 0 <= one.ap50_95 <= one.ap50 + 1e-12 <= 1 + 1e-9
