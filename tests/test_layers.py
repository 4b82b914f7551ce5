import subprocess
import sys
from pathlib import Path

import pytest
from tiny_model import draw_photo
from written_run import write_run

HEAVY = (
    "ray",
    "pyarrow",
    "fsspec",
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "accelerate",
    "safetensors",
    "matplotlib",
    "jinja2",
    "tensorrt_rtx_bindings",
)


def loaded_by(arguments: list[str]) -> set[str]:
    """Which of the heavy packages a command loads."""
    code = (
        "import sys, contextlib\n"
        "from maskinfer.cli import main\n"
        f"sys.argv = {['maskinfer', *arguments]!r}\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main()\n"
        f"print('loaded:', *({set(HEAVY)!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].removeprefix("loaded:").split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["predict", "--help"], ["train", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_by(arguments) == set()


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_inference_loads_nothing_heavy(tmp_path: Path, tiny_model: Path, command: str) -> None:
    draw_photo().save(tmp_path / "1__[16, 8, 24, 32]__True.png")
    out = ["--out", str(tmp_path / "p.csv")] if command == "predict" else []
    assert loaded_by([command, str(tmp_path), *out, "--model", str(tiny_model)]) == set()
    assert command == "evaluate" or (tmp_path / "p.csv").exists()


def test_looking_at_runs_needs_no_torch(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    loaded = loaded_by(["report", str(run), "--out", str(tmp_path / "report")])
    assert loaded == {"jinja2", "matplotlib"}
    assert (tmp_path / "report" / "report.html").exists()


def test_only_the_runtime_imports_onnxruntime() -> None:
    package = Path(__file__).parents[1] / "maskinfer"
    importers = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "import onnxruntime" in path.read_text() or "from onnxruntime" in path.read_text()
    ]
    assert importers == ["runtime.py"]
