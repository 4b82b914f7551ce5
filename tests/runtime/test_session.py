from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from support.cli import RunCli
from support.tiny_model import METADATA, build_model, draw_photo, write_model

from maskinfer import MaskDetector
from maskinfer.data.boxes import iou_xywh
from maskinfer.errors import MaskinferError, ModelFileError, UsageError
from maskinfer.runtime import cpu, default_model, gpu
from maskinfer.runtime import session as module
from maskinfer.runtime.default_model import shipped_model, suited
from maskinfer.runtime.model_file import ModelMetadata, WorkingPoint
from maskinfer.runtime.onnx_runtime import BoundSession
from maskinfer.runtime.providers import Provider
from maskinfer.runtime.session import Session

TENSORRT = pytest.param(
    "tensorrt",
    marks=pytest.mark.skipif(find_spec("tensorrt") is None, reason="needs TensorRT"),
)

HAS_GPU = gpu.has_nvidia_driver()


def canvases(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "keep", [0, 1, 500, -1], ids=["empty", "one byte", "half", "one byte short"]
)
def test_a_truncated_model_is_refused(tmp_path: Path, tiny_model: Path, keep: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_model.read_bytes()[:keep])
    with pytest.raises(ModelFileError, match=r"model\.onnx: .*Run: maskinfer export$"):
        Session(path)


def test_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("<html>404</html>" * 100)
    with pytest.raises(ModelFileError, match=r"damaged, or not an ONNX file\. Run: maskinfer exp"):
        Session(tmp_path / "model.onnx")


def test_a_model_that_is_not_a_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model file"):
        Session(tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="a folder, expected a model file"):
        Session(tmp_path)


@pytest.mark.parametrize("count", [1, 3, 8], ids=["one", "some", "full"])
def test_each_canvas_gets_its_own_outputs(tiny_model: Path, count: int) -> None:
    session = Session(tiny_model, "cpu", batch_size=8)
    batch = canvases(count)
    outputs = session.run(batch)
    assert outputs.boxes_xywh.shape == (count, 2, 4)
    np.testing.assert_allclose(outputs.score[:, 0], batch[..., 2].max(axis=(1, 2)) / 255, rtol=1e-6)
    dim = (batch[..., 0] > 64) & (batch[..., 0] < 100)
    green = np.where(dim, 0, batch[..., 1]).max(axis=(1, 2))
    np.testing.assert_allclose(outputs.proper_mask[:, 0], green / 255, rtol=1e-6)


def test_run_pads_for_a_gpu_and_drops_the_padding(tiny_model: Path) -> None:
    session = Session(tiny_model, "cpu", batch_size=8)
    alone = session.run(canvases(3))
    session.provider = Provider.CUDA  # padding is by the provider's name; the CPU computes
    session._free.put(BoundSession(session._ort, session._session, (8, 32, 32, 3), 2, "cpu"))
    for _ in range(2):  # in the same memory
        padded = session.run(canvases(3))
        for name in ("boxes_xywh", "proper_mask", "score"):
            np.testing.assert_array_equal(getattr(padded, name), getattr(alone, name))


def test_pages_are_locked_for_a_gpu_as_long_as_they_are_used(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    class Cudart:
        def cudaHostRegister(self, address: Any, size: Any, flags: Any) -> int:  # noqa: N802
            calls.append((address.value, size.value))
            return 0 if len(calls) == 1 else 712  # already registered

        def cudaHostUnregister(self, address: Any) -> None:  # noqa: N802
            calls.append(address.value)

    session = Session(tiny_model, "cpu", batch_size=8)
    buffers = [np.zeros((8, 32, 32, 3), np.uint8) for _ in range(2)]
    places = [buffer.ctypes.data for buffer in buffers]
    monkeypatch.setattr(gpu.ctypes, "CDLL", lambda name: Cudart())
    with session.locked_pages(buffers):
        assert calls == []
    session.provider = Provider.CUDA
    monkeypatch.setattr(session._ort, "cuda_version", "13.0", raising=False)
    with session.locked_pages(buffers):
        assert calls == [(places[0], 8 * 32 * 32 * 3), (places[1], 8 * 32 * 32 * 3)]
    assert calls[2:] == [places[0]]


def test_without_cuda_s_library_pages_stay_as_they_are() -> None:
    for version in ("", "0.0"):
        with gpu.locked_pages([np.zeros(4, np.uint8)], version):
            pass


@pytest.mark.parametrize("count", [0, 9])
def test_run_refuses_more_or_less_than_a_batch(tiny_model: Path, count: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 8"):
        Session(tiny_model, "cpu", batch_size=8).run(canvases(count))


def test_a_model_that_cannot_compute_is_one_line(tmp_path: Path) -> None:
    model = build_model()
    # Right as declared, wrong when computed: 8 numbers an image are not 12.
    columns = next(node for node in model.graph.node if "boxes" in node.output)
    columns.output[0] = "b"
    twelve = helper.make_tensor("shape", TensorProto.INT64, [4], [-1, 3, 2, 4])
    first = helper.make_tensor("first", TensorProto.INT64, [], [0])
    model.graph.initializer.extend([twelve, first])
    model.graph.node.append(helper.make_node("Reshape", ["b", "shape"], ["b3"]))
    model.graph.node.append(helper.make_node("Gather", ["b3", "first"], ["boxes"], axis=1))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(
        MaskinferError, match=r"model\.onnx: failed on cpu with a batch of 2: "
    ) as e:
        Session(tmp_path / "model.onnx", "cpu").run(canvases(2))
    assert "\n" not in str(e.value)


def test_outputs_of_another_number_than_canvases_are_refused(tmp_path: Path) -> None:
    model = build_model()
    columns = next(node for node in model.graph.node if "score" in node.output)
    columns.output[0] = "s"
    model.graph.initializer.append(helper.make_tensor("r0", TensorProto.INT64, [1], [0]))
    model.graph.node.append(helper.make_node("ReduceMax", ["s", "r0"], ["score"], keepdims=1))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=r"output 'score' is \(1, 2\) for 2 images"):
        Session(tmp_path / "model.onnx", "cpu").run(canvases(2))


def test_provider_cpu_is_used_without_a_note(tiny_model: Path) -> None:
    session = Session(tiny_model, "cpu")
    assert (session.provider, session.note) == (Provider.CPU, "")


@pytest.mark.skipif(HAS_GPU, reason="is about machines without a GPU")
def test_provider_auto_without_a_gpu_is_the_cpu_and_says_why(tiny_model: Path) -> None:
    session = Session(tiny_model)
    assert session.provider is Provider.CPU
    assert session.note.startswith("no CUDA: ")


@pytest.mark.skipif(HAS_GPU, reason="is about machines without a GPU")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_gpu_that_is_asked_for_and_missing_is_wrong_usage(
    tiny_model: Path, provider: str
) -> None:
    with pytest.raises(UsageError, match=rf"--provider {provider}: .*--provider auto"):
        Session(tiny_model, provider)


@pytest.mark.skipif(
    HAS_GPU or "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="is about onnxruntime-gpu on machines without a GPU",
)
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_gpu_provider_that_does_not_start_is_noticed(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    provider: str,
) -> None:
    """As with a driver that is too old: only the session shows it."""
    monkeypatch.setattr(gpu, "has_nvidia_driver", lambda: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=rf"--provider {provider}: the provider did not start"):
        Session(tiny_model, provider)
    session = Session(tiny_model, "auto")
    assert session.provider is Provider.CPU
    assert session.note.startswith("no CUDA: the provider did not start")
    assert capfd.readouterr() == ("", "")  # our words only


@pytest.fixture
def _pretended_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if HAS_GPU or "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("is about onnxruntime-gpu on machines without a GPU")
    monkeypatch.setattr(gpu, "has_nvidia_driver", lambda: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("_pretended_gpu")
def test_a_damaged_file_for_gpus_is_named_and_not_the_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = default_model.shipped_model()
    for name in (shipped.name, "default.gpu.onnx"):
        data = shipped.with_name(name).read_bytes()
        (tmp_path / name).write_bytes(data[:-100] if "gpu" in name else data)
    monkeypatch.setattr(default_model, "shipped_model", lambda: tmp_path / shipped.name)
    with pytest.raises(ModelFileError, match=r"default\.gpu\.onnx: damaged, or not an ONNX file"):
        Session(tmp_path / shipped.name, "cuda")


@pytest.mark.usefixtures("_pretended_gpu")
@pytest.mark.parametrize("provider", ["auto", "cuda", "tensorrt"])
@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "no maskinfer metadata"),
        (replace(METADATA, schema=99), "metadata schema 99"),
    ],
    ids=["no metadata", "newer schema"],
)
def test_a_file_that_is_not_ours_is_not_blamed_on_the_provider(
    tmp_path: Path, provider: str, metadata: ModelMetadata | None, words: str
) -> None:
    onnx.save(build_model(metadata), tmp_path / "a.onnx")
    with pytest.raises(ModelFileError, match=words):
        Session(tmp_path / "a.onnx", provider)


@pytest.mark.usefixtures("_pretended_gpu")
def test_tensorrt_gets_a_batch_profile_and_a_folder_for_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no engine is built twice, or anew between two batches."""
    given: list[dict[str, str]] = []
    create = onnxruntime.InferenceSession

    def record(data: bytes, providers: list[tuple[str, dict[str, str]]], **options: object) -> None:
        given.extend(o for name, o in providers if name == "TensorrtExecutionProvider")
        return create(data, providers=providers, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    for name, threshold in (("a", 0.25), ("b", 0.75)):
        path = write_model(
            tmp_path / f"{name}.onnx", precision="fp16", one_face=WorkingPoint(threshold=threshold)
        )
        with pytest.raises(UsageError, match="--provider tensorrt"):
            Session(path, "tensorrt", batch_size=24)
    first, second = given
    assert first["trt_profile_min_shapes"] == "images:1x32x32x3"
    assert first["trt_profile_opt_shapes"] == first["trt_profile_max_shapes"] == "images:24x32x32x3"
    # With either of them TensorRT would not obey the graph's own types.
    assert not {"trt_fp16_enable", "trt_int8_enable", "trt_bf16_enable"} & first.keys()
    assert first["trt_engine_cache_enable"] == first["trt_timing_cache_enable"] == "True"
    folders = [Path(options["trt_engine_cache_path"]) for options in given]
    assert folders[0] != folders[1]  # TensorRT's own key leaves out the weights
    assert all(folder.is_relative_to(tmp_path / "cache") for folder in folders)
    assert first["trt_timing_cache_path"] == second["trt_timing_cache_path"]


@pytest.mark.usefixtures("_pretended_gpu")
@pytest.mark.parametrize(
    ("given", "streams"),
    [
        ({}, 2),
        ({"prefer_nhwc": "1"}, 2),
        ({"enable_cuda_graph": "1"}, 1),
        ({"enable_cuda_graph": "True"}, 1),
        ({"enable_cuda_graph": "0"}, 2),
    ],
)
def test_cuda_gets_the_options_asked_for_and_a_batch_to_copy_meanwhile(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], streams: int
) -> None:
    got: list[dict[str, str]] = []
    create = onnxruntime.InferenceSession

    class OnCuda:
        """The CPU's session, which says that it is CUDA's."""

        def __init__(self, data: bytes, providers: list[tuple[str, dict[str, str]]], **rest: Any):
            got.extend(options for name, options in providers if name.startswith("CUDA"))
            self._session = create(data, providers=["CPUExecutionProvider"], **rest)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "InferenceSession", OnCuda)
    session = Session(tiny_model, "cuda", streams=8, provider_options=given)
    assert session.streams == streams
    assert got[0].items() >= given.items()


def test_batches_on_a_gpu_have_memory_of_their_own(tiny_model: Path) -> None:
    """Two threads never write into one batch's memory."""
    session = Session(tiny_model, "cpu", batch_size=4)
    session.provider = Provider.CUDA
    for _ in range(2):
        session._free.put(BoundSession(session._ort, session._session, (4, 32, 32, 3), 2, "cpu"))
    batches = [np.full((4, 32, 32, 3), value, np.uint8) for value in range(0, 256, 5)]
    with ThreadPoolExecutor(2) as pool:
        scores = [outputs.score[:, 0] for outputs in pool.map(session.run, batches)]
    np.testing.assert_allclose(scores, [[batch.max() / 255] * 4 for batch in batches], rtol=1e-6)


def test_options_of_a_provider_are_not_for_the_cpu(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match="--provider-option prefer_nhwc: not for the CPU"):
        Session(tiny_model, "cpu", provider_options={"prefer_nhwc": "1"})


@pytest.mark.usefixtures("_pretended_gpu")
def test_int8_made_for_a_cpu_is_refused_for_tensorrt(tmp_path: Path) -> None:
    export = {"int8": {"target": "cpu", "weight_bits": 8}}
    path = write_model(tmp_path / "a.onnx", precision="int8", export=export)
    with pytest.raises(UsageError, match=r"a CPU's INT8.*export it with --target tensorrt"):
        Session(path, "tensorrt")


def test_an_engine_without_its_sidecar_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(b"plan")
    with pytest.raises(ModelFileError, match=r"a\.engine\.json, which describes it, is missing"):
        Session(path)


def test_unknown_provider_and_batch_size_are_wrong_usage(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match=r"provider: got 'gpu', expected auto, .*, cpu"):
        Session(tiny_model, "gpu")
    with pytest.raises(UsageError, match="batch size: got 0, expected at least 1"):
        Session(tiny_model, batch_size=0)


@pytest.mark.usefixtures("_pretended_gpu")
def test_the_shipped_model_has_a_file_for_gpus_and_falls_back_to_that_for_cpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    create = Session._create

    def watched(self: Session, data: bytes, providers: list[tuple[str, dict[str, str]]]) -> Any:
        read.append(f"{self.path.name} for {providers[0][0]}")
        return create(self, data, providers)

    monkeypatch.setattr(Session, "_create", watched)
    session = Session(shipped_model(), "auto")
    assert read == [
        "default.gpu.onnx for CUDAExecutionProvider",
        "default.onnx for CPUExecutionProvider",
    ]
    assert session.path == shipped_model()
    assert session.provider == "cpu"
    assert session.metadata.precision == "int8"
    assert session.note.startswith("no CUDA: ")


def test_the_shipped_files_find_the_same_faces() -> None:
    """INT8 moves scores a little; most faces and nearly all labels stay."""
    photos = sorted(Path("sample_images/test").glob("*.jpg"))
    files = [shipped_model(), suited(shipped_model(), on_gpu=True)]
    on_cpu, on_gpu = (MaskDetector(file, "cpu")(photos) for file in files)
    assert on_cpu != on_gpu  # two files indeed
    pairs = [(a, b) for a, b in zip(on_cpu, on_gpu, strict=True) if a and b]
    assert len(pairs) >= 0.9 * len(photos)
    overlaps = iou_xywh([a.box_xywh for a, _ in pairs], [b.box_xywh for _, b in pairs])
    assert overlaps.mean() > 0.9
    assert sum(a.proper_mask == b.proper_mask for a, b in pairs) >= 0.9 * len(pairs)


@pytest.mark.gpu
@pytest.mark.parametrize("provider", ["cuda", TENSORRT])
def test_a_gpu_gives_what_the_cpu_gives(tiny_model: Path, provider: str) -> None:
    outputs = [Session(tiny_model, each).run(canvases(5)) for each in ("cpu", provider)]
    for name in ("boxes_xywh", "proper_mask", "score"):
        np.testing.assert_allclose(getattr(outputs[1], name), getattr(outputs[0], name), rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("provider", ["auto", TENSORRT])
def test_the_shipped_model_finds_on_a_gpu_what_its_file_finds_on_a_cpu(provider: str) -> None:
    photos = sorted(Path("sample_images/test").glob("*.jpg"))
    on_gpu = MaskDetector(provider=provider)
    assert on_gpu.session.path.name == "default.gpu.onnx"
    on_cpu = MaskDetector(on_gpu.session.path, "cpu")
    for ours, theirs in zip(on_gpu(photos), on_cpu(photos), strict=True):
        assert (ours is None) == (theirs is None)
        if ours and theirs:
            assert ours.proper_mask == theirs.proper_mask
            np.testing.assert_allclose(ours.box_xywh, theirs.box_xywh, atol=2)


@pytest.mark.gpu
def test_locked_pages_change_no_answer(tiny_model: Path) -> None:
    session, images = Session(tiny_model, "cuda"), canvases(16)
    expected = session.run(images)
    with session.locked_pages([images]):
        locked = session.run(images)
    for name in ("boxes_xywh", "proper_mask", "score"):
        np.testing.assert_array_equal(getattr(locked, name), getattr(expected, name))


def test_a_large_network_gets_two_streams(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Session(tiny_model, "cpu", streams=8).streams == 8
    monkeypatch.setattr(module, "_LARGE_FILE", 1000)
    assert Session(tiny_model, "cpu", streams=8).streams == 2
    assert Session(tiny_model, "cpu").streams == 1


def test_onnxruntime_keeps_no_identifier_of_the_machine(
    tmp_path: Path, tiny_model: Path, run_process: RunCli
) -> None:
    """Which it would send to its maker with what it runs."""
    draw_photo().save(tmp_path / "a.png")
    options = ("--out", tmp_path / "p.csv", "--model", tiny_model, "--provider", "cpu")
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert run_process("predict", tmp_path / "a.png", *options, env=env).code == 0
    assert not (tmp_path / "cache").exists()


def test_session_knows_the_file_it_runs(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.onnx", one_face=WorkingPoint(threshold=0.25))
    session = Session(str(path), "cpu")
    assert session.path == path
    assert session.metadata == replace(METADATA, one_face=WorkingPoint(threshold=0.25))
    assert len(session.sha256) == 64
    assert session.sha256 != Session(write_model(tmp_path / "b.onnx"), "cpu").sha256


@pytest.mark.parametrize(
    ("has_dot_products", "is_noted"), [(False, True), (True, False), (None, False)]
)
def test_int8_made_for_another_cpu_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_dot_products: bool | None, is_noted: bool
) -> None:
    monkeypatch.setattr(cpu, "has_int8_dot_products", lambda: has_dot_products)
    export = {"int8": {"target": "cpu", "weight_bits": 8}}
    path = write_model(tmp_path / "a.onnx", precision="int8", export=export)
    assert ("lacks VNNI: export it again" in Session(path, "cpu").note) == is_noted
