"""`maskinfer verify` on files of small networks."""

import shutil
from pathlib import Path

import onnx
import pytest
from safetensors.torch import load_file, save_file
from support.cli import RunCli

from maskinfer.train.runs.folder import RunFolder

pytestmark = pytest.mark.slow


def test_verify_tells_its_own_run_from_another(
    drawn: Path, runs: dict[str, RunFolder], files: dict[str, Path], tmp_path: Path, run_cli: RunCli
) -> None:
    own = runs["resnet"].path
    done = run_cli("verify", files["resnet"], "--against", own, "--data", drawn)
    assert done.code == 0, done.stderr
    assert "Agreement on 11 images" in done.stdout
    assert done.stdout.count("100.0 %") == 4

    other = tmp_path / "other"
    shutil.copytree(own, other)
    state = load_file(other / "best.safetensors")
    name = next(name for name in state if name.startswith("resnet.layer4") and "conv" in name)
    save_file({**state, name: state[name] * 3}, other / "best.safetensors", {"epoch": "1"})
    done = run_cli("verify", files["resnet"], "--against", other / "best.safetensors")
    assert done.code == 1
    assert "does not predict what" in done.stderr

    done = run_cli("verify", files["resnet"], "--against", other / "history.csv")
    assert done.code == 1
    assert "not a file of weights that maskinfer export wrote" in done.stderr

    config = other / "config.json"
    config.write_text(config.read_text().replace("resnet18", "resnet34"))
    done = run_cli("verify", files["resnet"], "--against", other)
    assert done.code == 2
    assert "resnet18 (letterbox, 64 px)" in done.stderr
    assert "resnet34" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["truncated", "not-ours", "missing", "newer", "input"])
def test_verify_refuses_what_is_no_model_of_ours(
    files: dict[str, Path], runs: dict[str, RunFolder], tmp_path: Path, kind: str, run_cli: RunCli
) -> None:
    file = tmp_path / "model.onnx"
    if kind == "truncated":
        file.write_bytes(files["resnet"].read_bytes()[:-1000])
    elif kind != "missing":
        model = onnx.load(files["resnet"])
        text = model.metadata_props[0].value
        del model.metadata_props[:]
        if kind == "newer":
            newer = text.replace('"schema": 3', '"schema": 99')
            onnx.helper.set_model_props(model, {"maskinfer": newer})
        if kind == "input":
            onnx.helper.set_model_props(model, {"maskinfer": text})
            model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        onnx.save(model, file)
    done = run_cli("verify", file, "--against", runs["resnet"].path)
    assert done.code in (1, 2)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
