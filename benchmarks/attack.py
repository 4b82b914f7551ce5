"""Whether anything ends a night's `maskinfer predict`, or makes it lose an image.

    python benchmarks/attack.py [--kills 20] [--ray-kills 0] [--outages 2] [--threads 8]

Each line of the table is one kind of attack: how often it was tried, how often the command came to
the bytes of one that was left alone, and how many images were lost. Kills: a signal, or two in a
row, at a random moment, and then `--resume`. Outages: the folder is away for a while, on a disk and
behind an S3 server that drops connections; a command that gives up is resumed. Images: the corpus
of the tests, and files made to take memory and time, each of which must be a row or a failure. The
whole attack: --kills 200 --ray-kills 20 --outages 10 --longest 30.
"""

import csv
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, quote, unquote, urlsplit

import typer
from materials import maskinfer_command, peak_mb, report, run_quietly, write_photos
from PIL import Image
from rich.progress import track
from rich.table import Table

from maskinfer.runtime.default_model import shipped_model
from maskinfer.text import recorded_name

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.corpus import build, encode, png_chunk
from support.pictures import jpeg_of_scans

_SIZE_WH = (160, 120)
_UNREADABLE_EVERY = 20
_FAILED_SOME = 3  # the exit code of a command that came to its end, with failures
_MOST_STARTS = 20  # of one attack
_SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")


@dataclass
class Attack:
    """One line of the table."""

    name: str
    tried: int = 0
    survived: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, fault: str, lost: int = 0) -> None:
        """Count one more, with what went wrong, if anything."""
        self.tried += 1
        self.survived += not fault
        self.lost += lost
        if fault:
            self.faults.append(f"{self.name}: {fault}")


def main(
    kills: Annotated[int, typer.Option(help="Predictions that are killed.")] = 20,
    ray_kills: Annotated[int, typer.Option(help="Likewise with --engine ray.")] = 0,
    outages: Annotated[int, typer.Option(help="Outages of a folder, and of a server.")] = 2,
    longest: Annotated[float, typer.Option(help="Seconds of the longest outage.")] = 5.0,
    images: Annotated[int, typer.Option(help="Images in the folder.")] = 200,
    threads: Annotated[int, typer.Option(help="That decode the hostile images.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of all moments.")] = 0,
) -> None:
    """Attack, resume, compare."""
    rng = random.Random(seed)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as work_name:
        work = Path(work_name)
        folder = work / "photos"
        write_photos(folder, images, _SIZE_WH)
        for index in range(0, images, _UNREADABLE_EVERY):
            (folder / f"{index:06}.gif").write_bytes(b"no image")
        reference = work / "reference.csv"
        start = time.perf_counter()
        run_quietly(_command(folder, reference), (_FAILED_SOME,))
        usual_s = time.perf_counter() - start
        attacks = []
        for times, label, options in (
            (kills, "", ()),
            (ray_kills, ", with Ray", ("--engine", "ray", "--provider", "cpu")),
        ):
            reference_s = usual_s
            if options and times:
                start = time.perf_counter()
                run_quietly([*_command(folder, work / "ray.csv"), *options], (_FAILED_SOME,))
                reference_s = time.perf_counter() - start
            one = [Attack(f"{name}{label}") for name in _SIGNALS]
            two = Attack(f"two signals in a row{label}")
            for number in track(range(times), f"killing{label}", transient=True):
                line = two if number % 6 == 5 else one[number % 6]
                names = rng.sample(_SIGNALS[1:], 2) if line is two else [line.name.split(",")[0]]
                out = work / "killed" / "p.csv"
                command = [*_command(folder, out), *options, "--resume"]
                line.add(*_kill(command, out, reference, names, reference_s, rng))
            attacks += [line for line in (*one, two) if line.tried]
        attacks += _outages(folder, reference, outages, longest, rng)
        attacks += _hostile(work, threads)
        peak = peak_mb(
            "predict",
            *(work / "hostile", "--out", work / "peak.csv", "--threads", threads),
            *("--model", shipped_model()),
            expected=(0, _FAILED_SOME),
        )
    table = Table("attack", "tried", "survived", "images lost")
    for line in attacks:
        table.add_row(line.name, str(line.tried), str(line.survived), str(line.lost))
    table.add_row(f"peak MB of hostile images, {threads} threads", f"{peak:.0f}", "", "")
    faults = [fault for line in attacks for fault in line.faults]
    for fault in faults[:10]:
        table.add_row(fault[:70])
    report(
        table,
        tried=sum(line.tried for line in attacks),
        survived=sum(line.survived for line in attacks),
        lost=sum(line.lost for line in attacks),
        peak_mb=peak,
        seconds=time.perf_counter() - began,
        faults=faults,
    )


def _command(images: object, out: Path) -> list[str]:
    return maskinfer_command("predict", images, "--out", out, "--model", shipped_model())


def _names(out: Path) -> list[str]:
    """Images with a row or a failure, in both files' order."""
    names: list[str] = []
    for path in (out, out.with_suffix(".errors.csv")):
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as stream:
                names += [row["filename"] for row in csv.DictReader(stream)]
    return names


def _difference(out: Path, reference: Path) -> tuple[str, int]:
    """What is not as in the output of a command left alone, and how many images are lost."""
    lost = len(set(_names(reference)) - set(_names(out)))
    for suffix in (".csv", ".errors.csv"):
        ours, theirs = out.with_suffix(suffix), reference.with_suffix(suffix)
        if not ours.is_file() or ours.read_bytes() != theirs.read_bytes():
            return f"{ours.name} differs", lost
    return "", lost


def _kill(
    command: list[str],
    out: Path,
    reference: Path,
    names: list[str],
    usual_s: float,
    rng: random.Random,
) -> tuple[str, int]:
    """Kill a command at a random moment, and resume it until it comes to its end."""
    shutil.rmtree(out.parent, ignore_errors=True)
    out.parent.mkdir()
    for start in range(_MOST_STARTS):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if start == 0 or rng.random() < 0.3:
            with suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0, 1.1 * usual_s))
            for name in names:
                process.send_signal(getattr(signal, name))
                time.sleep(rng.uniform(0, 0.05))
        _, stderr = process.communicate()
        if "Traceback" in stderr and process.returncode >= 0:
            return f"traceback after {names}: {stderr.strip()[-200:]}", 0
        if process.returncode == _FAILED_SOME:
            return _difference(out, reference)
    return f"did not end in {_MOST_STARTS} starts", 0


def _outages(
    folder: Path, reference: Path, times: int, longest: float, rng: random.Random
) -> list[Attack]:
    """Outages of folders that are moved away, and of a server that drops connections."""
    disk, server = Attack("outages of a folder"), Attack("outages of an S3 server")
    local = Attack("outages of file://, which leave its folder empty")
    away = folder.with_name("away")

    def unmount() -> None:
        folder.rename(away)
        folder.mkdir()

    def mount() -> None:
        folder.rmdir()
        away.rename(folder)

    with _s3(folder) as (address, drops):
        for _ in track(range(times), "taking photos away", transient=True):
            seconds = rng.uniform(1, longest)
            steps = (lambda: folder.rename(away)), (lambda: away.rename(folder))
            disk.add(*_interrupt(folder, reference, *steps, seconds, rng))
            steps = (unmount, mount)
            local.add(*_interrupt(f"file://{folder}", reference, *steps, seconds, rng))
            server.add(*_interrupt(address, reference, drops.set, drops.clear, seconds, rng))
    return [line for line in (disk, local, server) if line.tried]


@contextmanager
def _s3(folder: Path) -> Iterator[tuple[str, threading.Event]]:
    """As much of an S3 server as reads a folder; while the event is set, it drops connections."""
    drops = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None: ...

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if drops.is_set():
                self.close_connection = True
                return
            url = urlsplit(self.path)
            _, bucket, key = [*unquote(url.path).split("/", 2), ""][:3]
            query = parse_qs(url.query)
            path = folder / key.removeprefix("photos/")
            if not key and "list-type" in query:
                self._send(200, _listing(folder, bucket, query))
            elif key.startswith("photos/") and path.is_file():
                self._send(200, path.read_bytes())
            else:
                self._send(200 if not key else 404, b"")

        def _send(self, code: int, body: bytes) -> None:
            wanted = self.headers.get("Range", "")
            if code == 200 and wanted.startswith("bytes="):
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                whole, code = len(body), 206
                body = body[int(first) : int(last) + 1 if last else None]
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Last-Modified", "Thu, 26 Nov 2026 12:00:00 GMT")
            self.send_header("ETag", '"1"')
            if code == 206:
                self.send_header(
                    "Content-Range", f"bytes {first}-{int(first) + len(body) - 1}/{whole}"
                )
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    endpoint = quote(f"http://127.0.0.1:{server.server_port}", safe="")
    try:
        yield f"s3://bucket/photos?endpoint_override={endpoint}&region=us-east-1", drops
    finally:
        server.shutdown()


def _listing(folder: Path, bucket: str, query: dict[str, list[str]]) -> bytes:
    """A page of ListObjectsV2, which holds all."""
    prefix = query.get("prefix", [""])[0]
    keys = [f"photos/{path.name}" for path in sorted(folder.iterdir())]
    if prefix in ("", "photos"):
        found = "<CommonPrefixes><Prefix>photos/</Prefix></CommonPrefixes>"
    else:
        found = "".join(
            f"<Contents><Key>{key}</Key><Size>{(folder / key[7:]).stat().st_size}</Size>"
            "<LastModified>2026-11-26T12:00:00.000Z</LastModified></Contents>"
            for key in keys
            if key.startswith(prefix)
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket}</Name><Prefix>{prefix}</Prefix><KeyCount>{len(keys)}</KeyCount>"
        f"<MaxKeys>100000</MaxKeys><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
    ).encode()


def _interrupt(
    address: object,
    reference: Path,
    stop: Callable[[], object],
    go_on: Callable[[], object],
    seconds: float,
    rng: random.Random,
) -> tuple[str, int]:
    """Predict while the photos are away for some seconds from a random row on."""
    out = reference.with_name("outage") / "p.csv"
    shutil.rmtree(out.parent, ignore_errors=True)
    out.parent.mkdir()
    journal = out.with_name("p.csv.partial")
    for _ in range(_MOST_STARTS):
        process = subprocess.Popen(
            [*_command(address, out), "--batch-size", "4", "--resume"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        size = rng.randrange(2000, 30_000)
        while process.poll() is None and not (journal.exists() and journal.stat().st_size > size):
            time.sleep(0.005)
        if process.poll() is None:
            stop()
            time.sleep(seconds)
            go_on()
        _, stderr = process.communicate()
        if "Traceback" in stderr:
            return f"traceback: {stderr.strip()[-200:]}", 0
        if process.returncode == _FAILED_SOME:
            return _difference(out, reference)
        if process.returncode != 1:
            return f"exit {process.returncode}: {stderr.strip()[-200:]}", 0
    return f"did not end in {_MOST_STARTS} starts", 0


def _hostile(work: Path, threads: int) -> list[Attack]:
    """The corpus of the tests and files that take memory or time: each a row or a failure."""
    folder = work / "hostile"
    folder.mkdir()
    build(folder)
    for name, data in _costly().items():
        (folder / name).write_bytes(data)
    expected = {
        recorded_name(path.relative_to(folder).as_posix())
        for path in folder.rglob("*")
        if not path.is_dir()
        and not path.name.startswith(".")
        and path.suffix.lower() not in (".txt", ".csv", "")
    }
    line = Attack("hostile images")
    out = work / "hostile.csv"
    process = subprocess.run(
        [*_command(folder, out), "--threads", str(threads)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    names = _names(out)
    for name in expected | set(names):
        kept = names.count(name)
        line.add("" if kept == 1 else f"{name}: {kept} results", int(not kept))
    if "Traceback" in process.stderr or process.returncode != _FAILED_SOME:
        line.add(f"exit {process.returncode}: {process.stderr.strip()[-200:]}")
    return [line]


def _costly() -> dict[str, bytes]:
    """Small files of many pixels, long sides and many scans."""
    large = Image.new("RGBA", (6000, 5000), (200, 30, 99, 128))
    files = {
        "long.png": _png(1, 140_000_000),
        "narrow.png": encode(Image.new("1", (100_000, 300), 1), "PNG"),
        "scans.jpg": _scans(3000),
        "many scans.jpg": jpeg_of_scans(10_000, 4000),
        "large.png": encode(large, "PNG", compress_level=1),
    }
    webp = encode(large, "WEBP", lossless=True, quality=0, method=0)
    held_whole = jpeg_of_scans(15_800, 3)
    return (
        files
        | {f"large {number}.webp": webp for number in range(8)}
        | {f"whole {number}.jpg": held_whole for number in range(8)}
    )


def _png(width: int, height: int) -> bytes:
    """A one-bit PNG of nothing."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((1, 0, 0, 0, 0))
    packer = zlib.compressobj(9)
    packed = io.BytesIO()
    row = bytes(1 + -(-width // 8)) * 10_000
    for _ in range(height // 10_000):
        packed.write(packer.compress(row))
    packed.write(packer.flush())
    start = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
    return start + png_chunk(b"IDAT", packed.getvalue()) + png_chunk(b"IEND", b"")


def _scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there many times."""
    jpeg = encode(Image.new("RGB", (3000, 2000), "grey"), "JPEG", progressive=True)
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + scan * count + jpeg[-2:]


if __name__ == "__main__":
    if sys.platform == "win32":
        sys.exit("there is no SIGKILL on Windows")
    typer.run(main)
