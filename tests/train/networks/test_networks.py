from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn
from torchvision.models import mobilenet_v2, resnet18
from torchvision.models.detection import (
    FasterRCNN,
    FasterRCNN_ResNet50_FPN_Weights,
    fasterrcnn_resnet50_fpn,
)
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from maskinfer.errors import UsageError
from maskinfer.train.initial_weights import load_initial_weights
from maskinfer.train.networks.build import build
from maskinfer.train.networks.network import Network, Targets
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.settings import Backbone, Head, MaskLoss, Model, TrainSettings


def _settings(model: Model = "resnet", **changes: object) -> TrainSettings:
    settings = recipe_settings(model, "default", ("data",), 64)
    backbone = settings.backbone if model == "lite" else "resnet18"
    return replace(settings, backbone=backbone, **changes)  # type: ignore[arg-type]


def _batch(count: int) -> tuple[torch.Tensor, Targets]:
    generator = torch.Generator().manual_seed(0)
    canvases = torch.randint(0, 256, (count, 64, 64, 3), dtype=torch.uint8, generator=generator)
    boxes = torch.tensor([[10.0, 12.0, 20.0, 24.0]]).repeat(count, 1)
    return canvases, _one_face(boxes, (torch.arange(count) % 2).float())


def _one_face(boxes: torch.Tensor, proper: torch.Tensor) -> Targets:
    learnt = torch.ones(len(boxes), 1, dtype=torch.bool)
    unknown = torch.full((len(boxes), 1), -1.0)
    return Targets(boxes, proper, boxes[:, None], proper[:, None], learnt, learnt, unknown)


def test_box_that_is_not_known_teaches_nothing_and_its_mask_does() -> None:
    for model in ("resnet", "lite"):
        network = build(_settings(model)).train()  # type: ignore[arg-type]
        canvases, targets = _batch(2)
        known = network(canvases, targets)
        unknown = network(canvases, targets._replace(box_known=torch.zeros_like(targets.box_known)))
        assert unknown["box"] == 0 < known["box"]
        assert unknown["mask"] > 0


def test_faster_rcnn_learns_nothing_from_what_is_passed_over() -> None:
    network = build(_settings("fasterrcnn")).train()
    face, passed_over = [10.0, 10.0, 20.0, 20.0], [32.0, 0.0, 64.0, 64.0]
    anchors = torch.tensor([face, [40.0, 10.0, 50.0, 20.0], [0.0, 40.0, 10.0, 50.0]])
    target = {
        "boxes": torch.tensor([face]),
        "labels": torch.tensor([1]),
        "passed_over": torch.tensor([passed_over]),
    }
    rpn = network.detector.rpn  # type: ignore[union-attr]
    labels, _ = rpn.assign_targets_to_anchors([anchors], [target])  # type: ignore[operator]
    assert labels[0].tolist() == [1, -1, 0]

    # An image of nothing else still has background, or its loss would be a mean over nothing.
    canvases, targets = _batch(2)
    crowd = torch.tensor([[0.0, 0.0, 64.0, 64.0]]).repeat(2, 1)
    passed_over_all = targets._replace(faces_xywh=crowd[:, None], learnt=~targets.learnt)
    losses = network(canvases, passed_over_all)
    assert all(loss.isfinite() for loss in losses.values())


def test_lite_learns_of_improper_faces_whether_there_is_a_mask() -> None:
    network = build(_settings("lite")).train()
    canvases, targets = _batch(2)  # the second face is proper
    assert network(canvases, targets)["incorrectly"] == 0  # nothing is known of the first
    worn = torch.tensor([[1.0], [0.0]])
    loss = network(canvases, targets._replace(incorrectly=worn))["incorrectly"]
    loss.backward()
    assert loss > 0
    gradient = network.incorrectly.weight.grad  # type: ignore[union-attr]
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("head", ["pooled", "spatial"])
@pytest.mark.parametrize("loss", ["bce", "ce"])
def test_resnet_learns_one_batch_by_heart(head: Head, loss: MaskLoss) -> None:
    _learns_by_heart(_settings(head=head, loss=loss))


def test_lite_learns_one_batch_by_heart() -> None:
    _learns_by_heart(_settings("lite"))


def _learns_by_heart(settings: TrainSettings) -> None:
    torch.manual_seed(0)
    network = build(settings).train()
    canvases, targets = _batch(4)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    first = last = 0.0
    for step in range(25):
        total = torch.stack(list(network(canvases, targets).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        first, last = (total.item() if step == 0 else first), total.item()
    assert last < 0.5 * first


@pytest.mark.parametrize("model", get_args(Model))
def test_detections_are_one_box_an_image_with_probabilities(model: Model) -> None:
    network = build(_settings(model)).eval()
    canvases, _ = _batch(3)
    with torch.no_grad():
        found = network.detect(canvases)
    assert found.boxes_xywh.shape == (3, 4)
    for values in (found.proper_mask, found.score):
        assert values.shape == (3,)
        assert ((values >= 0) & (values <= 1 + 1e-6)).all()


def test_boxes_past_the_canvas_can_be_trained_on() -> None:
    canvases, targets = _batch(2)
    boxes = torch.tensor([[-9.0, -9.0, 5.0, 5.0], [60.0, 50.0, 30.0, 90.0]])
    outside = _one_face(boxes, targets.proper_mask)
    for model in get_args(Model):
        losses = build(_settings(model)).train()(canvases, outside)  # type: ignore[arg-type]
        assert all(torch.isfinite(loss) for loss in losses.values())


def _trunk(network: Network) -> nn.Module:
    return network.get_submodule(network.trunk_name)


def _statistics(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_test_loss_of_faster_rcnn_leaves_the_network_as_it_was() -> None:
    network = build(_settings("fasterrcnn")).eval()
    canvases, targets = _batch(2)
    before, stream = _statistics(network), torch.random.get_rng_state()

    with torch.no_grad():
        first, found = network.measure(canvases, targets)
        again, _ = network.measure(canvases, targets)

    assert set(first) == {
        "loss_objectness",
        "loss_rpn_box_reg",
        "loss_classifier",
        "loss_box_reg",
    }
    assert first == again
    assert all(loss > 0 and loss.grad_fn is None for loss in first.values())
    assert found.boxes_xywh.shape == (2, 4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module.training for module in network.modules())
    assert torch.equal(stream, torch.random.get_rng_state())


def test_faster_rcnn_computes_layers_in_bf16_and_boxes_in_fp32() -> None:
    network = build(_settings("fasterrcnn")).eval()
    canvases, targets = _batch(2)
    head, kinds = network.detector.roi_heads.box_head, []  # type: ignore[union-attr]
    head.register_forward_hook(lambda module, given, out: kinds.append(out.dtype))  # type: ignore[union-attr]
    with torch.no_grad():
        exact, _ = network.measure(canvases, targets)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses, found = network.measure(canvases, targets)
            faces = network.candidates(canvases)[0]
    assert kinds == [torch.float32] * 2 + [torch.bfloat16] * 3
    answers = (*losses.values(), *found, *faces)
    assert {answer.dtype for answer in answers} == {torch.float32}
    assert {name: pytest.approx(loss.item(), 0.05) for name, loss in exact.items()} == {
        name: loss.item() for name, loss in losses.items()
    }


def test_faster_rcnn_has_one_anchor_a_location() -> None:
    network = build(_settings("fasterrcnn"))
    assert network.detector.rpn.anchor_generator.num_anchors_per_location() == [1] * 5  # type: ignore[union-attr, operator]


def test_weights_of_torchvision_fit_the_trunk(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = resnet18(weights=None)
    save_file(source.state_dict(), tmp_path / "resnet18.safetensors")
    said: list[str] = []
    for model in ("resnet", "fasterrcnn"):
        settings = _settings(model, weights=str(tmp_path / "resnet18.safetensors"))  # type: ignore[arg-type]
        network = build(settings)
        assert load_initial_weights(network, settings, said.append).origin == (
            "resnet18.safetensors"
        )
        assert torch.equal(_trunk(network).state_dict()["conv1.weight"], source.conv1.weight)
    assert said[0].endswith("do not fit: fc")


@pytest.mark.parametrize("model", ["resnet", "fasterrcnn"])
def test_mobilenet_is_a_trunk_for_either_network(tmp_path: Path, model: Model) -> None:
    torch.manual_seed(1)
    source = mobilenet_v2(weights=None)
    save_file(source.state_dict(), tmp_path / "mobilenet.safetensors")
    settings = replace(
        _settings(model, weights=str(tmp_path / "mobilenet.safetensors")), backbone="mobilenet_v2"
    )
    network = build(settings)
    said: list[str] = []
    load_initial_weights(network, settings, said.append)
    assert torch.equal(
        next(iter(_trunk(network).state_dict().values())), source.features[0][0].weight
    )
    assert said[0].endswith("do not fit: classifier.1")
    if model == "resnet":
        _learns_by_heart(settings)


def test_weights_of_torchvisions_detector_fit_ours_but_for_its_own_heads(tmp_path: Path) -> None:
    """Three anchor shapes a location and 91 classes are theirs."""
    torch.manual_seed(1)
    source = FasterRCNN(resnet_fpn_backbone(backbone_name="resnet18", weights=None), 91)
    save_file(source.state_dict(), tmp_path / "coco.safetensors")
    settings = _settings("fasterrcnn", weights=str(tmp_path / "coco.safetensors"))
    network = build(settings)
    said: list[str] = []
    load_initial_weights(network, settings, said.append)
    own = network.state_dict()
    for name in ("backbone.fpn.inner_blocks.0.0.weight", "roi_heads.box_head.fc6.weight"):
        assert torch.equal(own[f"detector.{name}"], source.state_dict()[name])
    assert said[0].endswith(
        "do not fit: roi_heads.box_predictor.bbox_pred, roi_heads.box_predictor.cls_score, "
        "rpn.head.bbox_pred, rpn.head.cls_logits"
    )


def test_coco_weights_compute_what_torchvisions_own_detector_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its batch normalisation has an epsilon of 0, which counts where a variance is small."""
    torch.manual_seed(1)
    source = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval()
    body = source.backbone.body
    for layer in body.modules():
        if isinstance(layer, FrozenBatchNorm2d):
            layer.running_var.copy_(torch.rand_like(layer.running_var) * 1e-4 + 1e-6)
            layer.weight.mul_(5e-3)
    state = source.state_dict()
    overwrite_eps(source, 0.0)
    kind = type(FasterRCNN_ResNet50_FPN_Weights.COCO_V1)
    monkeypatch.setattr(kind, "get_state_dict", lambda *_, **__: dict(state))
    settings = replace(_settings("fasterrcnn", weights="coco"), backbone="resnet50")
    network = build(settings).eval()
    load_initial_weights(network, settings, lambda _: None)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected, ours = body(images)["3"], _trunk(network)(images)["3"]
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("origin", "backbone", "stays"),
    [
        ("coco", "resnet18", ("conv1", "bn1", "layer1")),
        ("imagenet", "mobilenet_v2", ("0.", "1.", "2.")),
        ("none", "resnet18", ()),
        ("best.safetensors", "resnet18", ()),
    ],
)
def test_a_trunk_that_has_learned_elsewhere_keeps_what_torchvision_freezes(
    origin: str, backbone: Backbone, stays: tuple[str, ...]
) -> None:
    settings = replace(_settings("fasterrcnn"), backbone=backbone)
    network = build(settings)
    network.begin_from(origin)
    body = _trunk(network)
    before = {name: value.clone() for name, value in body.state_dict().items()}
    network.train()
    torch.stack(list(network(*_batch(2)).values())).sum().backward()
    frozen = {name for name, weight in body.named_parameters() if weight.grad is None}
    convolutions = {name for name, weight in body.named_parameters() if weight.dim() == 4}
    normalisations = before.keys() - convolutions
    assert frozen & convolutions == {n for n in convolutions if stays and n.startswith(stays)}
    assert bool(stays) == (frozen >= normalisations & dict(body.named_parameters()).keys())
    after = body.state_dict()
    assert bool(stays) == all(torch.equal(after[name], before[name]) for name in normalisations)


@pytest.mark.parametrize("model", ["fasterrcnn", "lite"])
def test_several_processes_compute_the_same_network(model: Model) -> None:
    network = build(_settings(model)).eval()
    canvases = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        before = network.candidates(canvases)
        network = convert_sync_batchnorm(network)
        assert any(isinstance(layer, nn.SyncBatchNorm) for layer in network.modules())
        after = network.candidates(canvases)
    for one, other in zip(before, after, strict=True):
        for expected, found in zip(one, other, strict=True):
            torch.testing.assert_close(found, expected)


def test_statistics_are_kept_by_several_processes_too() -> None:
    network = build(_settings("fasterrcnn"))
    network.begin_from("imagenet")
    network = convert_sync_batchnorm(network).train()
    layers = [m for m in _trunk(network).modules() if isinstance(m, nn.SyncBatchNorm)]
    assert layers
    assert not any(layer.training for layer in layers)


def test_weights_of_a_resnet_run_start_a_faster_rcnn(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = build(_settings("resnet"))
    save_file(
        {n: t.contiguous() for n, t in source.state_dict().items()}, tmp_path / "best.safetensors"
    )
    settings = _settings("fasterrcnn", weights=str(tmp_path / "best.safetensors"))
    network = build(settings)
    network.mean.fill_(99.0)
    load_initial_weights(network, settings, lambda _: None)
    assert network.mean.tolist() == [99.0] * 3  # a run normalises by its own images
    trunk, expected = _trunk(network).state_dict(), _trunk(source).state_dict()
    assert all(torch.equal(trunk[name], expected[name]) for name in trunk)


def test_pickled_and_missing_weights_are_refused_by_their_own_names(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"pickle")
    (tmp_path / "run").mkdir()
    for name, complaint in {
        "model.pth": r"model\.pth: not a safetensors file .* Pickled checkpoints are not read",
        "run": r"run/best\.safetensors is missing; a run has it after its first epoch",
    }.items():
        settings = _settings(weights=str(tmp_path / name))
        with pytest.raises(UsageError, match=complaint):
            load_initial_weights(build(settings), settings, lambda _: None)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"not safetensors", "not a safetensors file", id="garbage"),
        pytest.param(None, "fits 0 of the 120 tensors", id="other-network"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "weights.safetensors"
    if content is None:
        save_file({"elsewhere": torch.zeros(3)}, path)
    else:
        path.write_bytes(content)
    settings = _settings(weights=str(path))
    with pytest.raises(UsageError, match=complaint):
        load_initial_weights(build(settings), settings, lambda _: None)


def test_lite_starts_from_imagenet_weights_without_a_network() -> None:
    settings = _settings("lite", weights="imagenet")
    said: list[str] = []
    network = build(settings)
    assert load_initial_weights(network, settings, said.append).origin == "imagenet"
    fitting = len(_trunk(network).state_dict())
    assert said == [
        f"ImageNet weights: {fitting} of the network's {len(network.state_dict())} tensors"
    ]


@pytest.mark.parametrize("model", ["fasterrcnn", "lite"])
def test_best_candidate_is_what_is_detected(model: Model) -> None:
    torch.manual_seed(3)
    network = build(_settings(model)).eval()
    canvases, _ = _batch(2)
    with torch.no_grad():
        found, candidates = network.detect(canvases), network.candidates(canvases)
    assert len(candidates) == 2
    for image, score in zip(candidates, found.score, strict=True):
        assert image.boxes_xyxy.shape == (*image.score.shape, 4)
        assert image.score.max().item() == pytest.approx(score.item())


def test_spatial_score_is_the_weight_inside_the_box() -> None:
    network = build(_settings("resnet", head="spatial")).eval()
    head = network.head
    assert isinstance(head, nn.Module)
    with torch.no_grad():
        nn.init.zeros_(head.box.weight)  # type: ignore[union-attr, arg-type]
        head.box.bias.copy_(torch.tensor([0.0, 0.0, 2.0, 2.0]))  # type: ignore[union-attr, operator]
        found = network.detect(_batch(1)[0])
    # Every cell counts the same at first: the box lies about the middle and holds all of them.
    torch.testing.assert_close(found.boxes_xywh[0], torch.tensor([-32.0, -32.0, 128.0, 128.0]))
    assert found.score.item() == pytest.approx(1.0)
