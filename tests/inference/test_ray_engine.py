import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from support.cli import RunCli
from support.predictions import predicted
from support.tiny_model import draw_photo

from maskinfer.data.folders import Failure
from maskinfer.data.remote import RemoteSource
from maskinfer.data.sources import FolderSource
from maskinfer.errors import MaskinferError, UsageError
from maskinfer.inference import ray_engine as subject
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.predicting import PredictSettings, local_engine
from maskinfer.inference.ray_engine import plan_pool, ray_engine
from maskinfer.inference.ray_worker import (
    ActorPool,
    Attempts,
    Block,
    Worker,
    WorkerSettings,
    pack,
    unpack,
)
from maskinfer.runtime.providers import Provider

BATCH = 4  # 64 images a block
NOT_UTF8 = os.fsdecode(b"d\xff.png")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster of two CPUs, to which this process is connected."""
    for name, value in subject._ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    with subject._silent_stderr():
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=50)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five blocks of photos that take a while to decode, some of which cannot be read."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    draw_photo((1280, 1280), (320, 160, 480, 640)).save(folder / "0000.png")
    photo = (folder / "0000.png").read_bytes()
    for i in range(1, 290):
        (folder / f"{i:04}.png").write_bytes(photo)
    draw_photo(blue=150).save(folder / "sub" / "1__[16, 8, 24, 32]__True.png")
    draw_photo(proper=False, blue=160).save(folder / "sub" / "2__[16, 8, 24, 16]__True.png")
    draw_photo(blue=170, second_xywh=(2, 44, 12, 16)).save(folder / "a, comma.png")
    draw_photo(blue=180).save(folder / NOT_UTF8)
    draw_photo(box_xywh=None).save(folder / "no_face.png")
    (folder / "0100.png").write_bytes(b"not an image")
    (folder / "0200.png").write_bytes(photo[:500])
    (folder / "nowhere.png").symlink_to("there/is/no.png")
    return folder


def results_of(out: Path) -> tuple[bytes, bytes]:
    return out.read_bytes(), out.with_suffix(".errors.csv").read_bytes()


@pytest.fixture(scope="module")
def expected(photos: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the local engine writes of the photos, and its errors."""
    out = tmp_path_factory.mktemp("local") / "x.csv"
    subprocess.run(
        [sys.executable, *command(photos, tiny_model, out, "local")],
        capture_output=True,
        check=False,
        timeout=60,
    )
    return results_of(out)


def command(photos: Path, model: Path, out: Path, engine: str = "ray") -> list[str]:
    options = ["--model", model, "--engine", engine, "--provider", "cpu", "--batch-size", BATCH]
    options += ["--face", "all"]
    return list(map(str, ["-m", "maskinfer", "predict", photos, "--out", out, *options]))


def settings_of(model: Path, **changes: Any) -> PredictSettings:
    return PredictSettings(model=model, provider=Provider.CPU, batch_size=BATCH, **changes)


@pytest.mark.slow
def test_ray_engine_writes_what_the_local_engine_writes(
    cluster: str, photos: Path, tiny_model: Path, tmp_path: Path, expected: Any, run_cli: RunCli
) -> None:
    out = tmp_path / "x.csv"
    done = run_cli(*command(photos, tiny_model, out)[2:], "--provider", "auto")
    assert done.code == 3, done.stderr  # some images failed
    assert re.search(r"provider +cpu *\n", done.stdout)  # what the processes took
    assert results_of(out) == expected
    assert len(expected[1].splitlines()) == 1 + 4
    said = [line.split(":")[0] for line in done.stderr.splitlines()]
    assert [word for word in said if word != "predicting"] == ["model", "warning"]  # after 20 s


@pytest.mark.slow
def test_ray_engine_survives_the_death_of_a_process(
    cluster: str, photos: Path, tiny_model: Path, tmp_path: Path, expected: Any, run_cli: RunCli
) -> None:
    out = tmp_path / "x.csv"
    killed: list[int] = []

    def kill_one() -> None:
        wait_for_rows(out)
        while not killed:
            for process in psutil.process_iter(["cmdline"]):
                title = (process.info["cmdline"] or [""])[0]
                if title.startswith("ray::MapWorker") and title.endswith("submit"):
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)
                    return

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    done = run_cli(*command(photos, tiny_model, out)[2:])
    killer.join(timeout=1)
    assert killed
    assert done.code == 3, done.stderr
    assert results_of(out) == expected


@pytest.mark.slow
def test_ray_engine_resumes_where_it_was_interrupted(
    cluster: str, photos: Path, tiny_model: Path, tmp_path: Path, expected: Any, run_cli: RunCli
) -> None:
    out = tmp_path / "x.csv"
    arguments = command(photos, tiny_model, out)
    for _ in range(5):  # on a busy machine it may have ended before it is interrupted
        started = subprocess.Popen(
            [sys.executable, *arguments, "--overwrite"],
            env=os.environ | {"RAY_ADDRESS": cluster},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where these tests run in the background, a shell has it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        wait_for_rows(out)
        started.send_signal(signal.SIGINT)
        stdout, stderr = started.communicate(timeout=60)
        if started.returncode != 3:
            break
        out.unlink()
    assert started.returncode == 130, stderr
    assert stdout == ""
    assert stderr.splitlines()[-1].startswith("stopped: ")
    assert not out.exists()
    done = run_cli(*arguments[2:], "--resume")
    assert done.code == 3, done.stderr
    assert "predicted earlier" in done.stdout
    assert results_of(out) == expected


def wait_for_rows(out: Path) -> None:
    """Wait until an unfinished prediction has written some."""
    partial = out.with_name(f"{out.name}.partial")
    deadline = time.monotonic() + 60
    while not (partial.exists() and len(partial.read_bytes().splitlines()) > 1):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_ray_engine_reads_an_address(cluster: str, photos: Path, tiny_model: Path) -> None:
    sub = photos / "sub"
    detector = MaskDetector(tiny_model, "cpu", BATCH)
    settings = settings_of(tiny_model)
    local, remote = FolderSource(sub), RemoteSource(sub.as_uri())
    assert list(ray_engine(detector, remote, settings)(remote)) == list(
        local_engine(detector, local, settings)(local)
    )


@pytest.mark.slow
def test_ray_engine_predicts_again_what_failed_locally(
    cluster: str, tiny_model: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "x.csv"
    folder.mkdir()
    for i in range(20):
        draw_photo(blue=120 + i).save(folder / f"{i:02}.png")
    assert run_cli(*command(folder, tiny_model, tmp_path / "whole.csv", "local")[2:]).code == 0
    photo = (folder / "07.png").read_bytes()
    (folder / "07.png").write_bytes(b"junk")
    assert run_cli(*command(folder, tiny_model, out, "local")[2:]).code == 3
    (folder / "07.png").write_bytes(photo)
    done = run_cli(*command(folder, tiny_model, out)[2:], "--retry-failed")
    assert done.code == 0, done.stderr
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not out.with_suffix(".errors.csv").exists()


@pytest.mark.slow
def test_ray_engine_hands_failures_through_chunks(
    cluster: str, photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "_CHUNK_IMAGES", 3)
    detector = MaskDetector(tiny_model, "cpu", BATCH)
    names = ["a, comma.png", Failure("dir/", "cannot be listed"), "no_face.png", NOT_UTF8]
    source = FolderSource(photos)
    settings = settings_of(tiny_model)
    results = list(ray_engine(detector, source, settings)(iter(names)))
    assert results == list(local_engine(detector, source, settings)(iter(names)))
    assert len(results) == 4


@pytest.mark.slow
def test_ray_engine_left_early_leaves_nothing_running(
    cluster: str, photos: Path, tiny_model: Path
) -> None:
    detector = MaskDetector(tiny_model, "cpu", BATCH)
    source = FolderSource(photos)
    results = ray_engine(detector, source, settings_of(tiny_model))(source)
    assert len(list(islice(results, 3))) == 3
    results.close()
    deadline = time.monotonic() + 30
    while any("ray::MapWorker" in "".join(p.info["cmdline"] or []) for p in processes()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def processes() -> Iterator[psutil.Process]:
    yield from psutil.process_iter(["cmdline"])


@pytest.mark.slow
def test_ray_engine_says_in_a_line_that_the_model_fails(
    cluster: str, photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(tiny_model.read_bytes())
    detector = MaskDetector(model, "cpu", BATCH)
    model.write_bytes(b"damaged since")
    source = FolderSource(photos)
    with pytest.raises(MaskinferError, match=r"^Ray worker on .*m\.onnx: damaged.*$") as caught:
        list(ray_engine(detector, source, settings_of(model))(source))
    assert str(caught.value).count(str(model)) == 1
    assert "\n" not in str(caught.value)


def test_ray_engine_without_ray_is_wrong_usage(
    photos: Path,
    tiny_model: Path,
    tmp_path: Path,
    run_cli: RunCli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = run_cli(*command(photos, tiny_model, tmp_path / "x.csv")[2:])
    assert done.code == 2
    assert done.stderr.splitlines()[-1] == (
        "error: --engine ray: ray is not installed. "
        "Run, in the project's folder: pip install '.[ray]'"
    )


def test_worker_gives_up_on_images_that_kill_every_process(
    photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(ray, "get", lambda value: value)
    attempts = SimpleNamespace(begin=SimpleNamespace(remote=Attempts().begin))
    pool = ActorPool(1, 1.0, 0.0, Provider.CPU)
    settings = WorkerSettings(str(tiny_model), settings_of(tiny_model), pool, photos, True)
    block, other = Block(0, ["a, comma.png"]), Block(1, ["a, comma.png"])
    for _ in range(6):  # each in a new process, the one before having died
        worker = Worker(tiny_model.read_bytes(), attempts, settings)
        ((result,),) = unpack(worker(pack([block])))
        assert result.filename == "a, comma.png"
    error, results = unpack(worker(pack([block, other])))
    assert isinstance(error, MaskinferError)
    assert str(error).startswith("--engine ray: a process died 6 times on the same images")
    assert results == [result]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_sigterm_while_ray_starts_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def start(**options: object) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
        signal.raise_signal(signal.SIGTERM)

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", start)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(KeyboardInterrupt), subject._cluster():
            pass
        assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGTERM, before)


CPUS = [{"CPU": 4.0}, {"CPU": 2.0}]
GPUS = [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0}]


@pytest.mark.parametrize(
    ("machines", "changes", "expected"),
    [
        pytest.param(CPUS, {}, ActorPool(6, 1.0, 0.0, Provider.CPU), id="a process for each CPU"),
        pytest.param(CPUS, {"actor_cpus": 3}, ActorPool(1, 3, 0.0, Provider.CPU), id="whole CPUs"),
        pytest.param(
            [{"CPU": 1.0}], {"actor_cpus": 0.1}, ActorPool(10, 0.1, 0.0, Provider.CPU), id="a part"
        ),
        pytest.param(GPUS, {}, ActorPool(2, 8.0, 1.0, Provider.AUTO), id="a process for each GPU"),
        pytest.param(
            GPUS,
            {"actor_gpus": 0.5, "provider": Provider.CUDA},
            ActorPool(4, 4.0, 0.5, Provider.CUDA),
            id="half a GPU",
        ),
        pytest.param(
            GPUS, {"provider": Provider.CPU}, ActorPool(24, 1.0, 0.0, Provider.CPU), id="CPUs only"
        ),
        pytest.param(
            GPUS,
            {"provider": Provider.OPENVINO},
            ActorPool(24, 1.0, 0.0, Provider.OPENVINO),
            id="OpenVINO on CPUs",
        ),
        pytest.param(GPUS, {"actor_gpus": 0}, ActorPool(24, 1.0, 0.0, Provider.CPU), id="no GPUs"),
        pytest.param(
            [{"memory": 1.0}, *CPUS],
            {},
            ActorPool(6, 1.0, 0.0, Provider.CPU),
            id="a head without CPUs",
        ),
    ],
)
def test_plan_pool_divides_the_cluster(
    machines: list[dict[str, float]], changes: dict[str, Any], expected: ActorPool
) -> None:
    assert plan_pool(machines, PredictSettings(**changes)) == expected


@pytest.mark.parametrize(
    ("machines", "changes", "words"),
    [
        pytest.param([], {}, "no machine", id="empty"),
        pytest.param(CPUS, {"actor_cpus": 5}, "has 5 CPUs for", id="too many CPUs"),
        pytest.param(CPUS, {"provider": Provider.CUDA}, "1 CPUs and 1 GPUs", id="no GPU"),
        pytest.param(CPUS, {"actor_cpus": 1.5}, "--actor-cpus 1.5", id="one and a half"),
        pytest.param(
            GPUS, {"provider": Provider.CPU, "actor_gpus": 1}, "contradict", id="contradiction"
        ),
        pytest.param(
            GPUS, {"provider": Provider.CUDA, "actor_gpus": 0}, "contradict", id="its opposite"
        ),
    ],
)
def test_plan_pool_refuses_what_does_not_fit(
    machines: list[dict[str, float]], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        plan_pool(machines, PredictSettings(**changes))


def test_tables_carry_blocks_and_results_unchanged() -> None:
    block = Block(3, ["a.png", NOT_UTF8, Failure("b/", "cannot be listed"), Failure(NOT_UTF8, "é")])
    results = [
        predicted("a.png", (1, 2, 3, 4), True, 0.1, None, None, 0.7),
        predicted(NOT_UTF8, (0, 0, 1, 1), False, 1 / 3, 0.5, False, 0.2),
        Failure("c", NOT_UTF8),
    ]
    assert unpack(pack([block, results])) == [block, results]
    assert unpack(pack([])) == []
    (error,) = unpack(pack([MaskinferError("out of memory")]))
    assert isinstance(error, MaskinferError)
    assert str(error) == "out of memory"
