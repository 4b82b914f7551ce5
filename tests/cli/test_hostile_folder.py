"""A folder of everything that goes wrong, through the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import RunCli
from support.corpus import build, encode, flip_bits
from support.predictions import read_errors, read_predictions
from support.tiny_model import draw_photo

from maskinfer.text import printable_name

resource = pytest.importorskip("resource")  # limits, which Windows does not have


@pytest.mark.parametrize("options", [(), ("--batch-size", 3, "--threads", 5)], ids=["", "odd"])
def test_every_file_of_the_corpus_is_a_row_or_a_failure(
    tmp_path: Path, tiny_model: Path, run_cli: RunCli, options: tuple[object, ...]
) -> None:
    folder, out = tmp_path / "corpus", tmp_path / "p.csv"
    folder.mkdir()
    expected = {printable_name(name): reason for name, reason in build(folder).items()}
    done = run_cli("predict", folder, "--out", out, "--model", tiny_model, *options)
    assert done.code == 3, done.stderr
    assert "Traceback" not in done.stderr
    rows = [row.filename for row in read_predictions(out)]
    failed = read_errors(tmp_path / "p.errors.csv")
    assert rows == sorted(rows)
    assert sorted([*rows, *failed]) == sorted(expected)
    assert set(rows) == {name for name, reason in expected.items() if reason is None}
    for name, error in failed.items():
        assert (expected[name] or "") in error
        assert len(error.splitlines()) == 1


def test_a_disk_that_fills_up_ends_the_command_and_resuming_completes_it(
    tmp_path: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    """The system refuses to write past a limit on the file's size as it does on a full disk."""
    folder = tmp_path / "photos"
    folder.mkdir()
    draw_photo().save(folder / "000.png")
    for i in range(1, 200):
        os.link(folder / "000.png", folder / f"{i:03}.png")
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    options = ("--model", tiny_model, "--provider", "cpu")
    assert run_cli("predict", folder, "--out", whole, *options).code == 0
    limit = whole.stat().st_size // 2 + 11  # in the middle of a line
    command = ("predict", folder, "--out", out, *options)
    done = subprocess.run(
        [sys.executable, "-m", "maskinfer", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    assert "p.csv: cannot be written, File too large; " in done.stderr
    assert "of 200 images are done, kept in" in done.stderr
    assert (tmp_path / "p.csv.partial").stat().st_size == limit
    assert run_cli(*command, "--resume").code == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_disk_that_is_full_at_the_last_step_of_parquet_is_one_line(
    tmp_path: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    (tmp_path / "photos").mkdir()
    draw_photo().save(tmp_path / "photos" / "a.png")
    out = tmp_path / "p.parquet"
    options = ("--model", tiny_model, "--provider", "cpu")
    command = ("predict", tmp_path / "photos", "--out", out, *options)
    done = subprocess.run(
        [sys.executable, "-m", "maskinfer", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        f"error: {out}: cannot be written, File too large; 1 of 1 images are done, kept in "
        f"{out}.partial"
    ]
    assert sorted(path.name for path in tmp_path.glob("p.*")) == ["p.parquet.partial"]
    assert run_cli(*command, "--resume").code == 0


def test_damaged_tiffs_print_nothing_themselves(
    tmp_path: Path, tiny_model: Path, run_process: RunCli
) -> None:
    """Neither libtiff, which writes past Python, nor Pillow's logging."""
    draw_photo().save(tmp_path / "whole.png")
    for compression in ("jpeg", "tiff_lzw", "packbits"):
        tiff = encode(draw_photo(), "TIFF", compression=compression)
        (tmp_path / f"{compression}.tif").write_bytes(tiff[: len(tiff) // 2])
        for seed in range(6):
            data = flip_bits(tiff, seed, count=9)
            (tmp_path / f"{compression}{seed}.tif").write_bytes(data)
    out = tmp_path / "out.csv"
    done = run_process("predict", tmp_path, "--out", out, "--model", tiny_model)
    assert done.code == 3
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["model", "warning"]
