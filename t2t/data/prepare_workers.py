"""Runs the pieces of a preparation: in this process while there is little to do, then in others.

Workers are spawned, import neither jax nor anything that does, ignore Ctrl-C (the parent tells
them to stop) and leave at once when the parent is gone, also when it was killed.
"""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from multiprocessing.connection import wait as wait_for
from typing import Any

from t2t.errors import Failure

# Starting workers costs about a second; one core encodes this much text (bytes) in 1.6 s.
INLINE_BYTES = 16_000_000
_DISPLAY_SECONDS = 0.5


class Stopped(Exception):
    """The parent no longer wants the result."""


class Counts:
    """Documents, tokens and bytes of text done; shared by processes once `share` was called."""

    def __init__(self, values: tuple[int, int, int] = (0, 0, 0)):
        self._values: Any = list(values)
        self._lock: Any = threading.Lock()

    def share(self, context) -> None:
        self._values = context.Array("q", self._values, lock=False)
        self._lock = context.Lock()

    def add(self, *amounts: int) -> None:
        with self._lock:
            for i, amount in enumerate(amounts):
                self._values[i] += amount

    def get(self) -> tuple[int, int, int]:
        with self._lock:
            return tuple(self._values)

    def __getstate__(self):
        return self._values, self._lock

    def __setstate__(self, state):
        self._values, self._lock = state


# In a worker: what `_start_worker` was given.
_worker: dict[str, Any] = {}


def _start_worker(job, counts: Counts, stop) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _worker.update(job=job, counts=counts, stop=stop)


def _leave_with_parent() -> None:
    # The sentinel is a pipe whose other end only the parent holds: it closes however that ends.
    wait_for([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _in_worker(work: Callable, args: tuple) -> Any:
    return work(_worker["job"], _worker["counts"], _worker["stop"].is_set, *args)


class Workers:
    """Calls `work(job, counts, stopped, *args)`, `count` at a time, with few waiting.

    A context manager: leaving it by an error stops what still runs.
    """

    def __init__(self, job, counts: Counts, count: int, show: Callable[[], None]):
        self.count = count
        self._job, self._counts, self._show = job, counts, show
        self._inline_left = INLINE_BYTES
        self._pool: ProcessPoolExecutor | None = None
        self._stop: Any = None
        self._pending: set[Future] = set()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace) -> None:
        if self._pool is not None:
            if kind is not None:
                self._stop.set()
            self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def is_inline(self) -> bool:
        """Whether `submit` still does the work itself."""
        return self.count == 1 or self._inline_left > 0

    def submit(self, size: int, work: Callable, *args) -> Future:
        """Has `work` done; `size` is the bytes of text it costs to encode as much.

        Blocks while enough is waiting. Raises what any earlier work raised.
        """
        if self.is_inline:
            self._inline_left -= size
            future: Future = Future()
            future.set_result(work(self._job, self._counts, lambda: False, *args))
            self._show()
            return future
        if self._pool is None:
            self._start()
        while len(self._pending) >= 2 * self.count:
            self._collect()
        try:
            future = self._pool.submit(_in_worker, work, args)
        except concurrent.futures.BrokenExecutor as error:
            raise self._broken() from error
        self._pending.add(future)
        return future

    def drain(self) -> None:
        """Waits for everything submitted; raises what it raised."""
        while self._pending:
            self._collect()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._counts.share(context)
        self._stop = context.Event()
        self._pool = ProcessPoolExecutor(
            self.count, context, _start_worker, (self._job, self._counts, self._stop)
        )

    def _collect(self) -> None:
        done, self._pending = concurrent.futures.wait(
            self._pending, _DISPLAY_SECONDS, FIRST_COMPLETED
        )
        for future in done:
            try:
                future.result()
            except concurrent.futures.BrokenExecutor as error:
                raise self._broken() from error
        self._show()

    def _broken(self) -> Failure:
        return Failure(
            "prepare: a worker process died (killed, or out of memory); run the same command "
            "again, finished pieces are kept, with fewer workers if memory is short"
        )
