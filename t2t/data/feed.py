"""Reads batches ahead of the step that uses them, and lays them onto the devices.

Grain reads ahead; its element is a whole batch (the rows that this host needs), so the order is the
same for any number of threads or worker processes, and the only state is the step.
"""

import atexit
import contextlib
import dataclasses
import functools
import multiprocessing
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import numpy as np

from t2t.data.batches import Samples
from t2t.data.order import sample_range

# How a batch array lies on the devices: a function of its global shape and dtype
# (jax.ShapeDtypeStruct) -> jax.sharding.Sharding.
Layout = Callable

_THREADS = 4
_ON_DEVICE = 2  # batches laid onto the devices ahead of the one in use
_PARENT_CHECK_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Makes this host's rows of a step's batch. Runs in threads or in worker processes: no jax."""

    samples: Samples
    rows: dict[int, np.ndarray | None]  # by batch size; None: all of them

    def __call__(self, step: int) -> "dict | _Raised":
        try:
            _, size = sample_range(self.samples.pieces, int(step))
            return self.samples.batch_at(int(step), self.rows[size])
        except Exception as error:
            if multiprocessing.parent_process() is not None:
                # Its traceback stays behind in the worker.
                error.add_note(traceback.format_exc())
            return _Raised(error)


@dataclasses.dataclass(frozen=True)
class _Raised:
    """An error on its way to the consumer, as an element: Grain adds lines to what it re-raises."""

    error: Exception


class Feed:
    """The batches of steps start .. stop - 1, made ahead; an iterator to be closed (or a `with`).

    layout: where each array goes; None yields host arrays. The batch then has `sample` as int32
    modulo 2^31. workers: 0 reads in threads, n in n processes, which end when this one does.
    What a reader raises is raised here, at the batch that it concerns.
    """

    def __init__(
        self,
        samples: Samples,
        start: int,
        stop: int,
        layout: Layout | None = None,
        read_ahead: int = 8,
        workers: int = 0,
    ):
        sizes = {size for _, size in samples.pieces}
        self._rows = {size: host_rows(layout, size) if layout else None for size in sizes}
        self._samples, self._layout, self._steps = samples, layout, range(start, stop)
        reader = _Reader(samples, self._rows)
        self._copies = workers > 0
        self._source = _read_ahead(reader, start, stop, read_ahead, workers)
        self._ready: queue.Queue = queue.Queue(maxsize=_ON_DEVICE)
        self._stopping = threading.Event()
        self._finished = False
        self.data_wait_seconds = 0.0  # how long __next__ has waited, in all
        self._thread = threading.Thread(target=self._fill, name="t2t-feed", daemon=True)
        # A thread that is in the runtime when the interpreter goes down takes it down with an abort.
        atexit.register(self.close)
        self._thread.start()

    def __iter__(self) -> Iterator[dict]:
        return self

    def __next__(self) -> dict:
        if self._finished:
            raise StopIteration
        before = time.perf_counter()
        batch, error = self._ready.get()
        self.data_wait_seconds += time.perf_counter() - before
        if batch is None:
            self.close()
            raise error if error is not None else StopIteration
        return batch

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends the reading, of threads and of worker processes. May be called again."""
        self._finished = True
        self._stopping.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._ready.get_nowait()  # the thread may be waiting for room
            self._thread.join(0.02)
        atexit.unregister(self.close)

    def _fill(self) -> None:
        try:
            try:
                for step in self._steps:
                    batch = next(self._source)
                    if isinstance(batch, _Raised):
                        raise batch.error
                    if self._copies:
                        batch = _own_memory(batch)
                    if self._layout is not None:
                        _, size = sample_range(self._samples.pieces, step)
                        batch = _on_devices(batch, self._layout, size, self._rows[size])
                    self._put((batch, None))
                    if self._stopping.is_set():
                        return
            finally:
                source, self._source = self._source, None
                source.close()
            self._put((None, None))
        except BaseException as error:  # whatever it is, it concerns the consumer
            self._put((None, error))

    def _put(self, item: tuple) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Full):
                return self._ready.put(item, timeout=0.1)


def host_rows(layout: Layout, size: int) -> np.ndarray | None:
    """Returns the rows of a batch of `size` that this host's devices hold; None where all do.

    They follow from the layout, not from the number of the process: where a model is split over
    hosts, several of them hold the same rows.
    """
    import jax

    sharding = layout(jax.ShapeDtypeStruct((size,), np.int32))
    mine = np.zeros(size, bool)
    for (rows,) in sharding.addressable_devices_indices_map((size,)).values():
        mine[rows] = True
    return None if mine.all() else np.flatnonzero(mine)


def _on_devices(batch: dict, layout: Layout, size: int, rows: np.ndarray | None) -> dict:
    """Lays this host's rows of a batch of `size` onto its devices, as parts of global arrays."""
    import jax

    def place(array: np.ndarray) -> jax.Array:
        shape = (size, *array.shape[1:])
        sharding = layout(jax.ShapeDtypeStruct(shape, array.dtype))

        def part(index: tuple[slice, ...]) -> np.ndarray:
            begin, end, _ = index[0].indices(size)
            at = begin if rows is None else int(np.searchsorted(rows, begin))
            return array[(slice(at, at + end - begin), *index[1:])]

        if rows is None and sharding.is_fully_addressable:
            return jax.device_put(array, sharding)
        return jax.make_array_from_callback(shape, sharding, part)

    batch = {**batch, "sample": (batch["sample"] % 2**31).astype(np.int32)}
    return jax.tree.map(place, batch)


def _read_ahead(reader: _Reader, start: int, stop: int, read_ahead: int, workers: int):
    """Returns Grain's iterator over reader(start), ..., reader(stop - 1)."""
    import grain

    steps = grain.MapDataset.range(start, stop).map(reader)
    if workers == 0:
        options = grain.ReadOptions(min(read_ahead, _THREADS), read_ahead)
        return steps.to_iter_dataset(options).__iter__()
    _parse_absl_flags()
    # One thread in each process: the processes are the parallelism.
    per_worker = max(1, read_ahead // workers)
    return (
        steps.to_iter_dataset(grain.ReadOptions(1, 1))
        .mp_prefetch(
            grain.MultiprocessingOptions(workers, per_worker),
            worker_init_fn=functools.partial(_end_with_parent, os.getpid()),
        )
        .__iter__()
    )


def _own_memory(batch: dict) -> dict:
    """Copies a worker's batch out of shared memory, which goes when the worker's arrays do."""
    return {
        name: _own_memory(part) if isinstance(part, dict) else np.array(part)
        for name, part in batch.items()
    }


def _parse_absl_flags() -> None:
    # Grain's worker processes read absl flags, which nobody has parsed outside of absl.app.
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _end_with_parent(parent: int, worker: int, workers: int) -> None:
    """Runs in a worker: ends it when its parent is gone (Grain's would stay, measured).

    The parent is asked for, since PR_SET_PDEATHSIG tells of the thread that started the worker, and
    exists on Linux only.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="t2t-parent-watch", daemon=True).start()
