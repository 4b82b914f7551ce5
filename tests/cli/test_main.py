"""What the front door does for every command."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.cli import RunCli
from support.tiny_model import draw_photo

from maskinfer.cli import evaluate
from maskinfer.errors import DatasetError


@pytest.fixture
def fail_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make `maskinfer evaluate` raise something."""

    def fail(error: BaseException) -> None:
        def sample_images(command: str) -> Path:
            raise error

        monkeypatch.setattr(evaluate, "sample_images", sample_images)

    return fail


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "a b.csv"), "a b.csv: No space left on device"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("no reason"), "no reason"),
        (FileNotFoundError(2, "No such file", b"a.csv"), "a.csv: No such file"),
        (DatasetError("two\nlines\r\nand  spaces"), "two lines and  spaces"),
        (DatasetError("caf\udce9"), r"caf\xe9"),
        (
            RuntimeError("can't start new thread"),
            "not enough memory; try a smaller --batch-size or --canvas (can't start new thread)",
        ),
    ],
    ids=["file", "no file", "no number", "bytes", "lines", "not UTF-8", "no thread"],
)
def test_any_failure_is_one_line(
    run_cli: RunCli, fail_with: Any, error: Exception, line: str
) -> None:
    fail_with(error)
    done = run_cli("evaluate")
    assert (done.code, done.stderr) == (1, f"error: {line}\n")


@pytest.mark.parametrize("arguments", [["--debug", "evaluate"], ["evaluate", "--debug"]])
@pytest.mark.parametrize("error", [OSError(28, "full"), DatasetError("none")], ids=["os", "ours"])
def test_debug_raises_it(
    run_cli: RunCli, fail_with: Any, error: Exception, arguments: list[str]
) -> None:
    fail_with(error)
    with pytest.raises(type(error)):
        run_cli(*arguments)


def test_debug_is_in_the_help_and_its_name_can_be_a_file_s(run_cli: RunCli) -> None:
    assert "--debug" in run_cli("--help").stdout
    done = run_cli("evaluate", "--", "--debug")
    assert (done.code, done.stderr) == (2, "error: --debug: no such folder\n")


def test_ctrl_c_is_one_line(run_cli: RunCli, fail_with: Any) -> None:
    fail_with(KeyboardInterrupt())
    assert run_cli("evaluate")[::2] == (130, "stopped\n")


@pytest.mark.parametrize("arguments", [["evaluate", ""], ["evaluate", "--model="], ["synth", ""]])
def test_an_empty_argument_is_wrong_usage(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_cli(*arguments)
    assert done.code == 2
    assert done.stderr.startswith("error: an empty argument, expected a value")
    assert list(tmp_path.iterdir()) == []


def test_large_and_damaged_photos_are_reported_without_pillow_s_warnings(
    tmp_path: Path, tiny_model: Path, run_process: RunCli
) -> None:
    """In a process of its own, as pytest has filters of its own."""
    Image.new("1", (20_000, 10_000)).save(tmp_path / "large.png")
    Image.new("1", (20_000, 13_000)).save(tmp_path / "too large.png")
    out = tmp_path / "p.csv"
    done = run_process(
        *("predict", tmp_path, "--out", out, "--model", tiny_model, "--provider", "cpu"),
        env={"PYTHONWARNINGS": "always"},
    )
    # The tiny model knows no answer for a black photo.
    assert done.stderr.splitlines()[1:] == [
        f"error: {tmp_path}: none of 2 images could be predicted. "
        f"Why is in {tmp_path / 'p.errors.csv'}"
    ]
    assert (tmp_path / "p.errors.csv").read_text().splitlines() == [
        "filename,error",
        "large.png,the model's output is not finite",
        "too large.png,more than 250 million pixels",
    ]


def test_a_bug_keeps_its_traceback(run_cli: RunCli, fail_with: Any) -> None:
    fail_with(RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        run_cli("evaluate")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", ["predict a.png --out - --provider cpu", "info", "bench -x"])
def test_a_full_stderr_does_not_change_the_exit_code(
    tmp_path: Path, tiny_model: Path, command: str
) -> None:
    draw_photo().save(tmp_path / "a.png")
    words = (
        [*command.split(), "--model", str(tiny_model)] if "predict" in command else command.split()
    )
    codes = []
    for place in ("/dev/null", "/dev/full"):
        with Path(place).open("w") as stderr:
            done = subprocess.run(
                [sys.executable, "-m", "maskinfer", *words],
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=tmp_path,
                check=False,
            )
        codes.append(done.returncode)
    assert codes[0] == codes[1]
