"""Whether a `maskinfer predict` that is killed again and again ends as one that is left alone.

    python benchmarks/kills.py [--rounds 200] [--images 200]

Each round predicts the same folder anew, some unreadable images in it, with `--resume`; sends
SIGKILL at a random moment between the start of the process and a little past its usual end; starts
it again, and kills it again with even odds, until one comes to its end. Then both CSVs are compared
with those of a command that was left alone, byte for byte, and nothing else may be left beside
them.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from materials import maskinfer_command, report, run_quietly, write_photos
from rich.progress import track
from rich.table import Table

from maskinfer.runtime.default_model import shipped_model

_SIZE_WH = (160, 120)
_UNREADABLE_EVERY = 20
_FAILED_SOME = 3  # the exit code of a command that came to its end, with failures
_PAST_END = 1.15  # of the usual duration
_AGAIN = 0.5  # how likely a resumed command is killed too
_MOST_STARTS = 20  # of one round
# The moments of a kill.
_BEFORE = "before its first result"
_WHILE = "while results were written"
_AFTER = "after its last result"


def main(
    rounds: Annotated[int, typer.Option(help="Predictions that are killed.")] = 200,
    images: Annotated[int, typer.Option(help="Images in the folder.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the moments.")] = 0,
    model: Annotated[Path | None, typer.Option(help="By default the one that ships.")] = None,
) -> None:
    """Predict, kill, resume, compare."""
    rng = random.Random(seed)
    moments: Counter[str] = Counter()
    differing: list[str] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "photos")
        write_photos(folder, images, _SIZE_WH)
        for index in range(0, images, _UNREADABLE_EVERY):
            (folder / f"{index:06}.gif").write_bytes(b"no image")
        command = maskinfer_command("predict", folder, "--model", model or shipped_model())
        reference = Path(work, "reference")
        reference.mkdir()
        usual_s = _duration([*command, *_output(reference)])
        for number in track(range(rounds), "killing", transient=True):
            out = Path(work, "round")
            out.mkdir()
            fault = _round([*command, *_output(out), "--resume"], out, usual_s, rng, moments)
            fault = fault or _difference(out, reference)
            if fault:
                differing.append(f"round {number}: {fault}")
            shutil.rmtree(out)
    kills = sum(moments.values())
    table = Table(
        show_header=False,
        title=f"{rounds} rounds over {images} images and {-(-images // _UNREADABLE_EVERY)} "
        f"unreadable files; left alone, {usual_s:.2f} s",
    )
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("rounds that ended as the one left alone", f"{rounds - len(differing)}")
    table.add_row("kills", f"{kills}")
    for moment in (_BEFORE, _WHILE, _AFTER):
        table.add_row(f"  {moment}", f"{moments[moment]}")
    for fault in differing[:10]:
        table.add_row(fault, "")
    report(
        table,
        rounds=rounds,
        equal=rounds - len(differing),
        kills=kills,
        moments=moments,
        usual_s=usual_s,
        seconds=time.perf_counter() - began,
        differing=differing,
    )


def _output(folder: Path) -> list[str]:
    return ["--out", str(folder / "preds.csv")]


def _duration(command: list[str]) -> float:
    """Seconds that the command takes when it is left alone; the second of two counts."""
    run_quietly(command, (_FAILED_SOME,))
    start = time.perf_counter()
    run_quietly([*command, "--overwrite"], (_FAILED_SOME,))
    return time.perf_counter() - start


def _round(
    command: list[str], out: Path, usual_s: float, rng: random.Random, moments: Counter[str]
) -> str:
    """Kill and resume until one comes to its end; returns what went wrong, else nothing."""
    for start in range(_MOST_STARTS):
        results = _results(out)
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if start == 0 or rng.random() < _AGAIN:
            try:
                process.wait(rng.uniform(0, _PAST_END * usual_s))
            except subprocess.TimeoutExpired:
                process.kill()
        _, stderr = process.communicate()
        if process.returncode >= 0:
            code = process.returncode
            return "" if code == _FAILED_SOME else f"ended with {code}: {stderr.strip()}"
        moments[_moment(out, results)] += 1
    return f"did not end in {_MOST_STARTS} starts"


def _moment(out: Path, results_before: int) -> str:
    """When a process was killed that began with so many results."""
    if (out / "preds.csv").exists() or any(out.glob("*.finishing.partial")):
        return _AFTER
    return _WHILE if _results(out) > results_before else _BEFORE


def _results(out: Path) -> int:
    """Whole results on disk, of a prediction that has not come to its end."""
    journal = out / "preds.csv.partial"
    lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
    return max(0, lines - 1)  # without the header


def _difference(out: Path, reference: Path) -> str:
    names = sorted(path.name for path in out.iterdir())
    expected = sorted(path.name for path in reference.iterdir())
    if names != expected:
        return f"left {', '.join(names)}, expected {', '.join(expected)}"
    for name in ("preds.csv", "preds.errors.csv"):
        if (out / name).read_bytes() != (reference / name).read_bytes():
            return f"{name} differs"
    return ""


if __name__ == "__main__":
    if sys.platform == "win32":
        sys.exit("there is no SIGKILL on Windows")
    typer.run(main)
