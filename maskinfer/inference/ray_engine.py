"""Predicting on a Ray cluster: names in, results out, in the same order.

Names go into Ray Data in chunks, so that the memory of this process does not grow with their
number. Inside a chunk, blocks of names go to a pool of processes (`ray_worker`), and only numbers
and text come back. Ray Data has no pool that outlives a dataset, so each chunk starts its own: a
chunk is large enough for that to make no difference.

Where a process dies, Ray starts another and repeats the blocks that have no results yet.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from maskinfer.data.remote import RemoteSource
from maskinfer.data.sources import ListSource, LocalSource, Source
from maskinfer.errors import MaskinferError, UsageError
from maskinfer.runtime.providers import Provider

from .detector import MaskDetector
from .ray_worker import ActorPool, Attempts, Block, Worker, WorkerSettings, pack, unpack
from .results import Result

if TYPE_CHECKING:
    from .predicting import Engine, PredictSettings

# Names of about 100 bytes each, which wait in Ray's object store.
_CHUNK_IMAGES = 500_000
# In one call of a process: seconds of work, against milliseconds of Ray's own.
_BLOCK_BATCHES = 16
# For each process, one being computed and one waiting; more would be uneven at the end.
_BLOCKS_AHEAD = 2
# What Ray reads when it is imported or started; what users have set themselves stays.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # it warns on every pool of processes
    # It reports dead processes on standard output, where the CSV may be.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
}


def ray_engine(detector: MaskDetector, source: Source, settings: "PredictSettings") -> "Engine":
    """Predict on the cluster of RAY_ADDRESS, on the one that runs here, or on one of its own.

    The model's file travels. A `UsageError` where Ray is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray.data
    except ModuleNotFoundError:
        raise UsageError(
            "--engine ray: ray is not installed. Run, in the project's folder: pip install '.[ray]'"
        ) from None

    def run(names: Iterable[str | Result]) -> Generator[Result, None, None]:
        with _cluster(), _explained():
            nodes = ray.nodes()  # type: ignore[no-untyped-call]
            machines = [node["Resources"] for node in nodes if node["Alive"]]
            pool = plan_pool(machines, settings)
            # To be named; those that have a GPU and may choose use CUDA, or fail.
            is_auto = pool.provider is Provider.AUTO
            detector.session.provider = Provider.CUDA if is_auto else pool.provider
            model = ray.put(detector.session.path.read_bytes())
            place = source.place if isinstance(source, ListSource) else source
            assert isinstance(place, LocalSource | RemoteSource)
            for_workers = WorkerSettings(
                model=str(detector.session.path),
                predict=settings,
                pool=pool,
                images=place if isinstance(place, RemoteSource) else place.folder.absolute(),
                must_exist=not isinstance(source, ListSource),
            )
            remaining = iter(names)
            for first in remaining:
                chunk = chain([first], islice(remaining, _CHUNK_IMAGES - 1))
                yield from _predict_chunk(chunk, model, for_workers)

    return run


def plan_pool(machines: list[dict[str, float]], settings: "PredictSettings") -> ActorPool:
    """Divide a cluster, of whose machines Ray says how much each has of a resource by its name.

    A `UsageError` where no machine has room for what is asked for.
    """
    with_gpu = [machine for machine in machines if machine.get("GPU")]
    gpus = settings.actor_gpus
    if gpus is None:
        gpus = float(
            settings.provider.on_gpu or (bool(with_gpu) and settings.provider is Provider.AUTO)
        )
    cpus = settings.actor_cpus
    if cpus is None:
        share = min((m.get("CPU", 0.0) * gpus / m["GPU"] for m in with_gpu), default=1.0)
        cpus = max(1.0, float(int(share))) if gpus else 1.0
    for option, value in (("--actor-cpus", cpus), ("--actor-gpus", gpus)):
        if value > 1 and value != int(value):
            raise UsageError(f"{option} {value}: expected a part of one, or a whole number")
    if settings.provider is not Provider.AUTO and (gpus > 0) != settings.provider.on_gpu:
        raise UsageError(
            f"--actor-gpus {gpus:g} and --provider {settings.provider}: contradict each other"
        )
    size = sum(_count(machine, cpus, gpus) for machine in machines)
    if size == 0:
        needs = f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
        raise UsageError(
            f"--engine ray: no machine of the cluster has {needs} for a process. "
            "Choose with --actor-cpus and --actor-gpus, or add a machine"
        )
    # Machines may differ in whether OpenVINO is faster, so it computes only where it is named.
    auto = Provider.AUTO if gpus else Provider.CPU
    provider = auto if settings.provider is Provider.AUTO else settings.provider
    return ActorPool(size, cpus, gpus, provider)


def _count(machine: dict[str, float], cpus: float, gpus: float) -> int:
    """How many processes fit on a machine."""
    tiny = 1e-6  # 1 / 0.1 is 10
    fits = int(machine.get("CPU", 0.0) / cpus + tiny)
    return min(fits, int(machine.get("GPU", 0.0) / gpus + tiny)) if gpus else fits


def _predict_chunk(
    names: Iterable[str | Result], model: Any, settings: WorkerSettings
) -> Iterator[Result]:
    import ray.data
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    pool, remaining = settings.pool, iter(names)
    blocks: list[Any] = []
    while block := list(islice(remaining, settings.predict.batch_size * _BLOCK_BATCHES)):
        blocks.append(pack([Block(len(blocks), block)]))
    # On this machine, which certainly has maskinfer and lives as long as we do.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    attempts: Any = ray.remote(Attempts).options(num_cpus=0, scheduling_strategy=here).remote()
    # Other ways to make a dataset divide it otherwise, or start a task for each block.
    dataset = ray.data.from_blocks(blocks).map_batches(
        Worker,
        fn_constructor_args=(model, attempts, settings),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
        compute=ray.data.ActorPoolStrategy(
            min_size=1,
            initial_size=min(pool.size, len(blocks)),
            max_tasks_in_flight_per_actor=_BLOCKS_AHEAD,
        ),
    )
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    tables = iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
    try:
        with closing(tables):
            for results in chain.from_iterable(map(unpack, tables)):
                if isinstance(results, MaskinferError):
                    raise results
                yield from results
    finally:
        ray.kill(attempts)


@contextmanager
def _cluster() -> Iterator[None]:
    """Stay connected to a cluster; one that is started here ends with the context."""
    import ray

    if ray.is_initialized():
        yield
        return
    # Ray installs a handler that ends the process on SIGTERM; our caller's own is put back.
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        try:
            with _silent_stderr():
                ray.init(
                    include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL
                )
        except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
            where = os.environ.get("RAY_ADDRESS", "a local cluster")
            raise MaskinferError(f"--engine ray: {where}: {_first_line(error)}") from error
        except SystemExit:  # from Ray's handler
            if callable(on_terminate):
                on_terminate(signal.SIGTERM, None)
            raise
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_terminate)
        yield
    finally:
        ray.shutdown()


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what Ray's C++ code writes to stderr when asked to be quiet; Python cannot catch it."""
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@contextmanager
def _explained() -> Iterator[None]:
    """Say in a line what Ray says in pages; those stay in its own log."""
    import ray

    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except ray.exceptions.RayError as error:
        text = str(error)
        if "No module named 'maskinfer'" in text:
            reason = "maskinfer is not installed on a machine of the cluster"
        elif isinstance(error, ray.exceptions.RayActorError):
            reason = f"a process died, {text.strip().splitlines()[-1].strip()}"  # the cause
        else:
            reason = _first_line(error)
        raise MaskinferError(f"--engine ray: {reason}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
