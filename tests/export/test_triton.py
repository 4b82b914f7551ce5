"""A model repository, against Triton's schema and against what ONNX Runtime says of the file."""

import importlib.resources
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format
from hypothesis import example, given
from hypothesis import strategies as st
from support.tiny_model import METADATA, write_model
from tritonclient.grpc import model_config_pb2 as schema

from maskinfer.data.geometry import Geometry
from maskinfer.errors import UsageError
from maskinfer.export.triton import check_destination, config_text, quoted, write_repository
from maskinfer.runtime.model_file import ModelMetadata, WorkingPoint

TYPES = {"tensor(uint8)": schema.TYPE_UINT8, "tensor(float)": schema.TYPE_FP32}
AWKWARD = "a \"quoted\" \\ back\\slash, 'single'\n\r\t\x00\x011 é 中 🙂 {} # ?"


def parse(text: str) -> schema.ModelConfig:
    return text_format.Parse(text, schema.ModelConfig())


def contents(folder: Path) -> dict[str, bytes | None]:
    """Each path under a folder, with its bytes where it is a file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def repository(tiny_model: Path, tmp_path: Path) -> Path:
    """A repository with one model of ours, `face`, and one of somebody else's."""
    folder = tmp_path / "triton"
    write_repository(tiny_model, METADATA, 8, folder, "face")
    (folder / "theirs" / "1").mkdir(parents=True)
    (folder / "theirs" / "config.pbtxt").write_text('name: "theirs"')
    return folder


def test_repository_holds_the_config_and_the_file(tiny_model: Path, tmp_path: Path) -> None:
    before = tiny_model.read_bytes()

    write_repository(tiny_model, METADATA, 8, tmp_path / "new" / "triton", "face")

    assert contents(tmp_path / "new" / "triton") == {
        "face": None,
        "face/1": None,
        "face/1/model.onnx": before,
        "face/config.pbtxt": config_text("face", METADATA, 8).encode("ascii"),
    }
    assert tiny_model.read_bytes() == before


def test_config_says_all_of_this_and_nothing_else() -> None:
    expected = schema.ModelConfig(
        name="face.v-1_a",
        backend="onnxruntime",
        max_batch_size=32,
        input=[
            schema.ModelInput(
                name="images",
                data_type=schema.TYPE_UINT8,
                format=schema.ModelInput.FORMAT_NONE,
                dims=[32, 32, 3],
            )
        ],
        output=[
            schema.ModelOutput(name="boxes", data_type=schema.TYPE_FP32, dims=[2, 4]),
            schema.ModelOutput(name="proper_mask", data_type=schema.TYPE_FP32, dims=[2]),
            schema.ModelOutput(name="score", data_type=schema.TYPE_FP32, dims=[2]),
        ],
        instance_group=[
            schema.ModelInstanceGroup(count=1, kind=schema.ModelInstanceGroup.KIND_AUTO)
        ],
        dynamic_batching=schema.ModelDynamicBatching(max_queue_delay_microseconds=1000),
        parameters={
            "maskinfer": schema.ModelParameter(string_value=METADATA.to_json()),
            "cudnn_conv_algo_search": schema.ModelParameter(string_value="1"),
        },
    )

    assert parse(config_text("face.v-1_a", METADATA, 32)) == expected


def shape_in_model(tensor: schema.ModelInput | schema.ModelOutput) -> list[int]:
    """The shape that Triton's ONNX Runtime backend demands of the file, -1 for what is free."""
    return [-1, *tensor.dims]


@pytest.mark.parametrize("which", ["tiny 32", "tiny 48", "free 32", "shipped"])
def test_config_matches_what_onnxruntime_says_of_the_file(which: str, tmp_path: Path) -> None:
    if which == "shipped":
        file = Path(str(importlib.resources.files("maskinfer") / "default.onnx"))
    else:
        kind, side = which.split()
        geometry = Geometry.letterbox(int(side))
        file = write_model(tmp_path / "a.onnx", geometry=geometry, free_canvas=kind == "free")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    text = session.get_modelmeta().custom_metadata_map["maskinfer"]
    metadata = ModelMetadata.from_json(text, which)

    write_repository(file, metadata, 4, tmp_path / "triton", "face")

    config = parse((tmp_path / "triton" / "face" / "config.pbtxt").read_text(encoding="utf-8"))
    for told, actual in (
        (config.input, session.get_inputs()),
        (config.output, session.get_outputs()),
    ):
        assert [(one.name, one.data_type, shape_in_model(one)) for one in told] == [
            (one.name, TYPES[one.type], [-1 if isinstance(n, str) else n for n in one.shape])
            for one in actual
        ]
    served = config.parameters["maskinfer"].string_value
    assert ModelMetadata.from_json(served, which) == metadata

    # What a client sends and gets has the shape [N, *dims], with as many numbers as the model's.
    batch = config.max_batch_size
    dims = [32 if size == -1 else size for size in config.input[0].dims]
    images = np.zeros((batch, *dims), np.uint8)
    for output, values in zip(config.output, session.run(None, {"images": images}), strict=True):
        assert values.reshape(batch, *output.dims).shape == (batch, *output.dims)


@given(st.text())
@example("")
@example(AWKWARD)
@example("\x001")  # a digit behind an octal escape
def test_quoted_text_is_read_back(text: str) -> None:
    literal = quoted(text)

    assert literal.isascii()
    assert "\n" not in literal
    assert parse(f"name: {literal}").name == text


@given(st.text(), st.text())
@example(AWKWARD, AWKWARD)
def test_metadata_is_read_back(key: str, value: str) -> None:
    metadata = replace(METADATA, backbone=value, training={key: [value, {value: None}]})

    config = parse(config_text("face", metadata, 1))

    text = config.parameters["maskinfer"].string_value
    assert ModelMetadata.from_json(text, "config.pbtxt") == metadata
    assert config.name == "face"


@pytest.mark.parametrize("name", ["a", "resnet-20260102-030405", "_x", "Face.v2", "1"])
def test_name_that_suits_triton_is_taken(name: str, tmp_path: Path) -> None:
    check_destination(tmp_path, name, overwrite=False)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "../a", "-rf", ".hidden", "a b", "a\n", "é", 'a"']
)
def test_name_that_triton_cannot_take_is_refused(
    name: str, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"^Triton model name: got ") as caught:
        write_repository(tiny_model, METADATA, 8, tmp_path / "triton", name)

    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("max_batch", [-1, 0, 2**31])
def test_batch_out_of_range_is_refused(max_batch: int, repository: Path, tiny_model: Path) -> None:
    before = contents(repository)

    with pytest.raises(UsageError, match=f"^Triton max batch: got {max_batch}, expected 1 to "):
        write_repository(tiny_model, METADATA, max_batch, repository, "face")

    assert contents(repository) == before


@pytest.mark.parametrize("max_batch", [1, 2**31 - 1])
def test_batch_at_the_ends_of_its_range_is_taken(max_batch: int) -> None:
    assert parse(config_text("face", METADATA, max_batch)).max_batch_size == max_batch


def test_export_replaces_an_older_one_and_leaves_the_rest_alone(
    repository: Path, tmp_path: Path
) -> None:
    theirs = contents(repository / "theirs")
    changed = replace(METADATA, one_face=WorkingPoint(threshold=0.25))
    file = write_model(tmp_path / "changed.onnx", one_face=WorkingPoint(threshold=0.25))

    write_repository(file, changed, 16, repository, "face")

    assert sorted(path.name for path in repository.iterdir()) == ["face", "theirs"]
    assert contents(repository / "theirs") == theirs
    assert (repository / "face" / "1" / "model.onnx").read_bytes() == file.read_bytes()
    assert (repository / "face" / "config.pbtxt").read_text() == config_text("face", changed, 16)


@pytest.mark.parametrize(
    ("present", "why"),
    [
        ({}, "has no config.pbtxt"),
        ({"photo.jpg": ""}, "has no config.pbtxt"),
        ({"config.pbtxt": 'name: "face"'}, "config.pbtxt was not written by maskinfer"),
        ({"config.pbtxt": None, "2/model.onnx": ""}, "holds 2, which maskinfer did not write"),
        ({"config.pbtxt": None, "1/notes.txt": ""}, "holds 1/notes.txt, which maskinfer did not"),
    ],
    ids=["empty", "photos", "theirs", "more versions", "more files"],
)
def test_folder_that_no_export_wrote_is_refused(
    present: dict[str, str | None], why: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "triton"
    (folder / "face").mkdir(parents=True)
    for path, text in present.items():
        place = folder / "face" / path
        place.parent.mkdir(exist_ok=True)
        place.write_text(config_text("face", METADATA, 8) if text is None else text)
    before = contents(folder)

    with pytest.raises(UsageError) as caught:
        write_repository(tiny_model, METADATA, 8, folder, "face")

    message = str(caught.value)
    assert message.startswith(f"{folder / 'face'}: ")
    assert why in message
    assert "\n" not in message
    assert contents(folder) == before


def test_file_in_place_of_a_folder_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "face").write_text("")
    before = contents(tmp_path)

    with pytest.raises(UsageError, match="face: is not a folder; not replaced"):
        write_repository(tiny_model, METADATA, 8, tmp_path, "face")
    with pytest.raises(UsageError, match="face: not a folder"):
        write_repository(tiny_model, METADATA, 8, tmp_path / "face", "face")

    assert contents(tmp_path) == before


STOPS = pytest.mark.parametrize("stop", [OSError("disk full"), KeyboardInterrupt()], ids=str)


@STOPS
@pytest.mark.parametrize("name", ["face", "fresh"])
def test_copy_that_fails_leaves_the_repository_as_it_was(
    stop: BaseException,
    name: str,
    repository: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(repository)

    def write_half(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:100])
        raise stop

    monkeypatch.setattr(shutil, "copyfile", write_half)
    with pytest.raises(type(stop)):
        write_repository(tiny_model, METADATA, 16, repository, name)

    assert contents(repository) == before


@STOPS
@pytest.mark.parametrize("step", [1, 2], ids=["old aside", "new in"])
def test_renaming_that_fails_puts_the_old_folder_back(
    stop: BaseException,
    step: int,
    repository: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(repository)
    rename, steps = Path.rename, 0

    def fail_at_step(self: Path, target: Path) -> Path:
        nonlocal steps
        steps += 1
        if steps == step:
            raise stop
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_at_step)
    with pytest.raises(type(stop)):
        write_repository(tiny_model, METADATA, 16, repository, "face")

    assert contents(repository) == before


def test_old_folder_that_cannot_be_put_back_is_kept(
    repository: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(repository / "face")
    rename, steps = Path.rename, 0

    def fail_from_second(self: Path, target: Path) -> Path:
        nonlocal steps
        steps += 1
        if steps > 1:
            raise OSError("gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_from_second)
    with pytest.raises(OSError, match="gone"):
        write_repository(tiny_model, METADATA, 16, repository, "face")

    (work,) = repository.glob(".face.*")
    assert contents(work / "old") == before
