import hashlib
import json
import math
import re
import shutil
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import onnx
import pytest
from onnx import helper
from support.cli import RunCli
from support.tiny_model import METADATA, build_model, draw_photo, write_model

from maskinfer.data.geometry import Geometry
from maskinfer.runtime.engine_file import write_engine
from maskinfer.runtime.model_file import METADATA_KEY, SCHEMA


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty current folder, and lines that do not wrap."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def sections(stdout: str) -> dict[str, dict[str, str]]:
    """The headings of what was printed, and the rows below each."""
    printed: dict[str, dict[str, str]] = {}
    for line in filter(str.strip, stdout.splitlines()):
        if not line.startswith(" "):
            printed[line.strip()] = rows = {}
        else:
            name, *value = re.split(r"  +", line.strip(), maxsplit=1)
            rows[name] = value[0] if value else ""
    return printed


def test_info_shows_what_a_model_contains(tiny_model: Path, run_cli: RunCli) -> None:
    done = run_cli("info", tiny_model)
    assert (done.code, done.stderr) == (0, "")
    printed = sections(done.stdout)
    data = tiny_model.read_bytes()
    assert printed["File"] == {
        "path": str(tiny_model),
        "size": f"0.0 MB ({len(data):,} bytes)",
        "SHA-256": hashlib.sha256(data).hexdigest(),
        "producer": "not named",
        "opset": "18",
        "weights": "none",
    }
    assert printed["Model"] == {
        "network": "tiny",
        "canvas": "32 x 32 px",
        "geometry": "letterbox: the whole photo, its aspect kept",
        "one face": "from score 0, proper from 0.5",
        "all faces": "from score 0, proper from 0.5",
        "precision": "fp32",
        "maskinfer version": "0.1.0",
        "faces": "2",
        "free canvas": "False",
        "schema": str(SCHEMA),
    }
    assert printed["Normalisation"] == {"mean": "0, 0, 0", "std": "1, 1, 1"}
    assert printed["Inputs"] == {"images": "uint8 (N, 32, 32, 3)"}
    assert printed["Outputs"] == {
        "boxes": "float32 (N, 2, 4)",
        "proper_mask": "float32 (N, 2)",
        "score": "float32 (N, 2)",
    }


def test_info_lists_operators_the_most_frequent_first(tiny_model: Path, run_cli: RunCli) -> None:
    counts = Counter(node.op_type for node in onnx.load(tiny_model).graph.node)
    listed = json.loads(run_cli("info", tiny_model, "--json", "-").stdout)["graph"]["operators"]
    assert listed == counts
    assert list(listed.items()) == sorted(listed.items(), key=lambda item: (-item[1], item[0]))
    printed = run_cli("info", tiny_model).stdout.split(f"Operators ({counts.total()})\n")[1]
    assert {name: int(n) for n, name in re.findall(r"(\d+) (\w+)", printed)} == counts


def test_info_shows_weights_domains_and_the_crop(tmp_path: Path, run_cli: RunCli) -> None:
    metadata = replace(METADATA, geometry=Geometry("center_crop", 32, 40))
    model = build_model(metadata)
    for name, kind in (("a", onnx.TensorProto.FLOAT16), ("b", onnx.TensorProto.FLOAT)):
        model.graph.initializer.append(helper.make_tensor(name, kind, [2, 3], [0.0] * 6))
    model.graph.node.append(helper.make_node("Gelu", ["b"], ["c"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.producer_name, model.producer_version = "maskinfer", "9.9"
    onnx.save(model, tmp_path / "m.onnx")
    done = run_cli("info", tmp_path / "m.onnx")
    printed = sections(done.stdout)
    assert printed["File"]["weights"] == "6 float16, 6 float32"
    assert printed["File"]["opset"] == "18, com.microsoft 1"
    assert printed["File"]["producer"] == "maskinfer 9.9"
    assert printed["Model"]["geometry"] == "center_crop: the middle of the photo stretched to 40 px"
    assert "1 com.microsoft.Gelu" in done.stdout


def test_info_flattens_what_is_nested(tmp_path: Path, run_cli: RunCli) -> None:
    training = {
        "data": {"counts": {"train": {"proper": 3, "improper": 4}}, "names": ["a", "b"]},
        "recipe": {"augment": ["crop", "color"], "rate": 0.001, "head": None},
        "batches": [{"size": 1, "px": 0.5}, {"size": 7, "px": 0.25}],
        "nothing": {},
        "[/markup]": "[red]stays[/red]",
    }
    printed = sections(run_cli("info", write_model(tmp_path / "m.onnx", training=training)).stdout)
    assert printed["Training"] == {
        "data.counts.train": "improper=4  proper=3",
        "data.names": "a, b",
        "recipe": "augment=crop,color  head=none  rate=0.001",
        "batches.1": "px=0.5  size=1",
        "batches.2": "px=0.25  size=7",
        "nothing": "none",
        "[/markup]": "[red]stays[/red]",
    }


def test_info_lets_no_metadata_steer_the_terminal(tmp_path: Path, run_cli: RunCli) -> None:
    training = {"\x1b[2Jname": "\x1b]0;title\x07", "rate": math.nan}
    model = write_model(tmp_path / "m\x1b[31m.onnx", training=training)
    for options in ((), ("--json", "-")):
        done = run_cli("info", model, *options)
        assert done.code == 0
        assert not set(done.stdout + done.stderr) & set("\x1b\x07")
    assert json.loads(done.stdout)["metadata"]["training"]["rate"] is None
    assert "NaN" not in done.stdout
    assert r"\x1b[31m.onnx" in run_cli("info", tmp_path / "gone\x1b[31m.onnx").stderr


def test_info_prints_one_json_object(tiny_model: Path, run_cli: RunCli) -> None:
    done = run_cli("info", "--json", "-", tiny_model)
    assert (done.code, done.stderr) == (0, "")
    values = json.loads(done.stdout)
    assert values["path"] == str(tiny_model)
    assert values["size_bytes"] == tiny_model.stat().st_size
    assert values["metadata"] == asdict(METADATA)
    assert values["inputs"] == [{"name": "images", "type": "uint8", "shape": ["N", 32, 32, 3]}]


def test_info_takes_the_newest_export_where_none_is_named(
    run_cli: RunCli, tiny_model: Path
) -> None:
    Path("models").mkdir()
    shutil.copy(tiny_model, "models/a.onnx")
    assert sections(run_cli("info").stdout)["File"]["path"] == "models/a.onnx"


def test_info_shows_the_rest_without_onnx(
    tiny_model: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = run_cli("info", tiny_model)
    assert done.code == 0
    assert list(sections(done.stdout)) == ["File", "Model", "Normalisation", "Inputs", "Outputs"]
    assert done.stderr == (
        "note: listing operators, weights and opset needs onnx. Run: pip install onnx\n"
    )
    assert json.loads(run_cli("info", tiny_model, "--json", "-").stdout)["graph"] is None


def test_info_shows_an_engine_by_its_sidecar(run_cli: RunCli) -> None:
    built = {"built_with": "tensorrt-rtx 1.7", "batch": {"min": 1, "max": 32}}
    write_engine(b"engine", METADATA, built, Path("m.engine"))
    done = run_cli("info", "m.engine")
    assert (done.code, done.stderr) == (0, "")
    printed = sections(done.stdout)
    assert printed["File"]["SHA-256"] == hashlib.sha256(b"engine").hexdigest()
    assert printed["File"]["size"].endswith("(6 bytes)")
    assert printed["Model"]["network"] == "tiny"
    assert printed["Engine"] == {"built_with": "tensorrt-rtx 1.7", "batch": "min=1  max=32"}
    assert json.loads(run_cli("info", "m.engine", "--json", "-").stdout)["engine"] == built


def test_info_refuses_an_engine_without_its_sidecar(run_cli: RunCli) -> None:
    Path("m.engine").write_bytes(b"engine")
    done = run_cli("info", "m.engine")
    assert (done.code, done.stdout) == (1, "")
    assert "m.engine.json, which describes it, is missing" in done.stderr


def spoilt(metadata: str | None) -> bytes:
    model = build_model(None)
    if metadata is not None:
        helper.set_model_props(model, {METADATA_KEY: metadata})
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"m\.onnx: .*Run: maskinfer export"),
        (b"<html>404</html>" * 100, r"m\.onnx: damaged, or not an ONNX file"),
        (spoilt(METADATA.to_json())[:500], r"m\.onnx: damaged, or not an ONNX file"),
        (spoilt(None), r"m\.onnx: no maskinfer metadata"),
        (spoilt(replace(METADATA, schema=99).to_json()), r"m\.onnx: metadata schema 99"),
        (
            spoilt(replace(METADATA, geometry=Geometry.letterbox(64)).to_json()),
            r"m\.onnx: input 'images' is \(N, 32, 32, 3\), expected \(N, 64, 64, 3\)",
        ),
    ],
    ids=["empty", "garbage", "truncated", "no metadata", "newer schema", "other input"],
)
def test_info_refuses_what_is_no_model_in_one_line(
    tmp_path: Path, run_cli: RunCli, data: bytes, words: str
) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    done = run_cli("info", "m.onnx")
    assert (done.code, done.stdout) == (1, "")
    assert re.fullmatch(rf"error: {words}.*\n", done.stderr)


@pytest.mark.parametrize(
    ("name", "words"), [("not-there.onnx", "no such model file"), (".", "a folder, expected")]
)
def test_info_of_no_file_is_wrong_usage(run_cli: RunCli, name: str, words: str) -> None:
    done = run_cli("info", name)
    assert (done.code, done.stdout) == (2, "")
    assert words in done.stderr


def test_info_of_a_photo_says_that_it_is_no_model(folder: Path, run_cli: RunCli) -> None:
    draw_photo().save(folder / "a.JPG")
    done = run_cli("info", folder / "a.JPG")
    assert done.code == 2
    assert done.stderr == (
        "error: photos/a.JPG: an image, expected a model file (.onnx or .engine)\n"
    )
    assert run_cli("predict", folder, "--model", folder / "a.JPG").code == 2
