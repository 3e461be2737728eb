"""Classifies files on many machines with Ray.

Each worker loads one classifier from the model's files, which are sent to it. When a worker is killed, Ray runs its
block again, without limit. So that a file which kills every worker is not tried forever, each file is entered in a
ledger outside the workers before it is analysed, and given up after `MAX_DEATHS`.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genre_runtime.classifier import ExcerptCount, GenreClassifier
from genre_runtime.errors import DeviceUnavailableError, GenreError, MissingDependencyError, counted
from genre_runtime.library.bulk.manifest import classify_source, import_extra
from genre_runtime.library.bulk.parquet import arrow_schema, result_row
from genre_runtime.model.head import GenreHead
from genre_runtime.prediction import FileResult

MAX_DEATHS = 3
"""Workers killed during one file before the file is given up."""

FILES_IN_BLOCK = 16
"""Largest number of files in a block of a small library; a block is analysed again if its worker is killed."""

MOST_BLOCKS = 10_000
"""About the largest number of blocks of a large library: Ray's overhead grows with it."""

ADDRESS_VARIABLE = "RAY_ADDRESS"


class WorkerLostError(GenreError, RuntimeError):
    """Every worker that analysed this file was killed: its decoder crashed, or memory ran out."""

    code = "worker_lost"


class ClusterError(GenreError, RuntimeError):
    """Ray could not be started or reached, or gave up."""

    code = "cluster"


class Ledger:
    """Counts how often the analysis of each file was begun and not finished; runs in its own process."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}

    def begin(self, index: int, finished: int | None) -> int:
        """Enter a file and return how often it was begun.

        Parameters
        ----------
        index : int
            Position of the file in the list.
        finished : int or None
            Position of a file that is finished; it is removed.
        """
        self.finish(finished)
        self._begun[index] = self._begun.get(index, 0) + 1
        return self._begun[index]

    def finish(self, index: int | None) -> None:
        """Remove a file that was analysed.

        Parameters
        ----------
        index : int or None
            Position of the file; None does nothing.
        """
        if index is not None:
            self._begun.pop(index, None)


class Worker:
    """Holds one classifier, and converts blocks of (index, source) to blocks of result rows.

    Parameters
    ----------
    files : mapping of str to bytes
        The model's files; the graph first.
    device : str
    excerpts : int, "all" or None
        Excerpts per file; None for the model's default.
    ledger : ray.actor.ActorHandle
        Of a `Ledger`.
    head : GenreHead or None
        One's own genres.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        device: str,
        excerpts: ExcerptCount,
        ledger: Any,
        head: GenreHead | None = None,
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="genre") as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            # One file at a time, so that the file which kills the worker is known.
            path = Path(folder, next(iter(files)))
            self._classifier = GenreClassifier.load(path, device=device, threads=1, head=head)
        self._excerpts, self._ledger = excerpts, ledger

    def __call__(self, block: Any) -> Any:
        """Classify a block.

        Parameters
        ----------
        block : pyarrow.Table
            With the columns `index` and `source`.
        """
        pyarrow = import_extra("pyarrow")
        indices = block.column("index").to_pylist()
        sources = map(os.fsdecode, block.column("source").to_pylist())
        rows, finished = [], None
        for index, source in zip(indices, sources, strict=True):
            rows.append({"index": index, **self._row(index, source, finished)})
            finished = index
        self._ledger.finish.remote(finished)
        schema = arrow_schema().insert(0, pyarrow.field("index", pyarrow.int64()))
        return pyarrow.Table.from_pylist(rows, schema)

    def _row(self, index: int, source: str, finished: int | None) -> dict[str, Any]:
        import ray

        n_begun = ray.get(self._ledger.begin.remote(index, finished))
        if n_begun > MAX_DEATHS:
            reason = f"{n_begun - 1} workers were killed while analysing it: its decoder crashes or lacks memory"
            return result_row(FileResult(source, WorkerLostError(reason)))
        return result_row(classify_source(self._classifier, source, excerpts=self._excerpts))


def classify_on_ray(
    sources: Sequence[str],
    model_path: Path,
    *,
    device: str = "auto",
    excerpts: ExcerptCount = None,
    jobs: int = 0,
    head: GenreHead | None = None,
) -> Generator[dict[str, Any], None, None]:
    """Yield a row for each source, in order; see `result_row`.

    Parameters
    ----------
    sources : sequence of str
        URLs, or paths that exist on every machine of the cluster.
    model_path : Path
        On this machine; the model is sent to the others.
    device : str
        `cuda` gives each worker its own GPU; `auto` is the CPU, since Ray hides GPUs that are not requested.
    excerpts : int, "all" or None
        Excerpts per file; None for the model's default.
    jobs : int
        Number of workers; 0 for one per core of the cluster, or one per GPU.
    head : GenreHead or None
        One's own genres.

    Raises
    ------
    MissingDependencyError
        Ray is not installed.
    ModelNotFoundError, InvalidModelError, DeviceUnavailableError
    ClusterError
        Ray cannot be reached or gave up. The rows yielded before are valid.
    """
    ray = _import_ray()
    files = _model_files(model_path, head)
    with _cluster(ray, jobs), _cluster_errors(ray):
        needs_gpu = device in ("cuda", "tensorrt")
        n_workers = jobs or int(ray.cluster_resources().get("GPU" if needs_gpu else "CPU", 1)) or 1
        if needs_gpu and not ray.cluster_resources().get("GPU"):
            raise DeviceUnavailableError(device, ("cpu",), "no machine of the cluster has a GPU")
        blocks = _blocks(sources, n_workers)
        ledger = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Ledger).remote()
        rows = ray.data.from_arrow(blocks).map_batches(
            Worker,
            fn_constructor_args=(files, device, excerpts, ledger, head),
            compute=ray.data.ActorPoolStrategy(size=min(n_workers, len(blocks))),
            batch_format="pyarrow",
            batch_size=FILES_IN_BLOCK if needs_gpu else None,  # Ray requires a number with a GPU
            num_cpus=1,
            num_gpus=1 if needs_gpu else None,
        )
        n_rows = 0
        for table in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
            for row in table.to_pylist(maps_as_pydicts="strict"):
                if row.pop("index") != n_rows:
                    raise ClusterError(f"Ray returned the rows out of order at row {n_rows}: run it again")
                n_rows += 1
                yield row
        if n_rows != len(sources):
            raise ClusterError(f"Ray returned {n_rows:,} of {counted(len(sources), 'row')}: run it again")


def _import_ray() -> Any:
    # Both are read when ray is imported. The second keeps messages about killed workers out of stdout.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
    ray = import_extra("ray")
    try:
        import_extra("ray.data")
    except MissingDependencyError as error:
        raise MissingDependencyError(f"{error}, which brings ray[data]") from error
    return ray


def _model_files(path: Path, head: GenreHead | None) -> dict[str, bytes]:
    """Read the graph and its sidecar; load them first, so that errors are raised here and not in a worker."""
    GenreClassifier.load(path, device="cpu", threads=1, head=head)
    return {file.name: file.read_bytes() for file in (path, path.with_suffix(".json"))}


def _blocks(sources: Sequence[str], n_workers: int) -> list[Any]:
    """Divide the sources so that every worker gets several blocks and all finish at about the same time."""
    pyarrow = import_extra("pyarrow")
    size = max(1, min(max(FILES_IN_BLOCK, len(sources) // MOST_BLOCKS), len(sources) // (4 * n_workers)))
    return [
        pyarrow.table(
            {
                "index": pyarrow.array(range(start, min(start + size, len(sources))), pyarrow.int64()),
                "source": pyarrow.array(map(os.fsencode, sources[start : start + size]), pyarrow.binary()),
            }
        )
        for start in range(0, len(sources), size)
    ]


@contextmanager
def _cluster(ray: Any, jobs: int) -> Iterator[None]:
    """Use a running Ray or the one at `$RAY_ADDRESS`, or else start one on this machine and shut it down at the end.

    If the calling program started Ray, it stays running with its settings.
    """
    ours = not ray.is_initialized()
    logger = logging.getLogger("ray.data")
    level = logger.level
    try:
        if ours:
            _start(ray, jobs)
        logger.setLevel(logging.CRITICAL)
        context = ray.data.DataContext.get_current().copy()
        context.enable_progress_bars = False  # they count blocks, the caller can count files
        context.print_on_execution_start = False
        context.execution_options.preserve_order = True
        with ray.data.DataContext.current(context):
            yield
    finally:
        logger.setLevel(level)
        if ours:
            ray.shutdown()


def _start(ray: Any, jobs: int) -> None:
    common = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if os.environ.get(ADDRESS_VARIABLE):
            ray.init(**common)
        else:
            ray.init("local", num_cpus=jobs or None, include_dashboard=False, **common)
    except (ConnectionError, RuntimeError, OSError, ValueError) as error:
        raise ClusterError(f"Ray cannot be started or reached: {error}") from error


@contextmanager
def _cluster_errors(ray: Any) -> Iterator[None]:
    """Raise a ClusterError for an error of Ray or of a worker that could not start."""
    try:
        yield
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        raise ClusterError(f"Ray gave up: {cause or str(error).strip().splitlines()[-1]}") from error
