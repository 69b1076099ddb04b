"""The train and evaluation steps, compiled in the background while the data gets ready."""

import concurrent.futures
import contextlib
import hashlib
import threading
import time
from collections.abc import Callable

import jax

from t2t.data.batches import always_full
from t2t.objectives.implementations import batch_shapes
from t2t.parallel import compiler_flags
from t2t.training.programs import Programs

_THREADS = "t2t-compile"


def compiling() -> bool:
    """Whether a compiler still works for an abandoned run: Python's own end would wait for it, which
    may take minutes."""
    return any(thread.name.startswith(_THREADS) for thread in threading.enumerate())


class CompiledSteps:
    """`train(state, batch)` and `evaluate(params, frozen, carry, batch)`, a program a batch size.

    The sizes that a run begins with compile at once, in the background; those of a batch ramp when
    their step comes. A context manager: leaving it waits for the compiler, which cannot be stopped,
    but where the run is abandoned before its first step (see `compiling`).
    eager: the train step of debug mode, which is called as it is; nothing is compiled ahead then.
    meanwhile: returns a context in which a program is compiled in the middle of the run.
    """

    def __init__(
        self,
        run,
        programs: Programs,
        eager: Callable | None = None,
        meanwhile: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    ):
        self._begun, self._programs, self._eager = time.monotonic(), programs, eager
        self._meanwhile = meanwhile
        self._train, self._evaluate = {}, {}
        self._pool = concurrent.futures.ThreadPoolExecutor(2, _THREADS)
        self._left = False
        self._pending = []
        self._lowered: concurrent.futures.Future = concurrent.futures.Future()
        if eager is not None:
            self._lowered.set_result("")
            return
        size = run.data.pieces()[0][1]
        self._pending.append(
            self._pool.submit(self._make_train, abstract_batch(run, programs, size))
        )
        if run.data.evaluation:
            size = run.data.evaluation_batch_size or run.data.batch_size
            self._pending.append(
                self._pool.submit(self._make_evaluate, abstract_batch(run, programs, size))
            )

    def __enter__(self) -> "CompiledSteps":
        return self

    def __exit__(self, *_) -> None:
        self._pool.shutdown(wait=not self._left, cancel_futures=True)

    def abandon(self) -> None:
        """Notes that no step will be taken: leaving does not wait."""
        self._left = True

    def _make_train(self, batch):
        lowered = self._programs.train.lower(self._programs.shapes, batch)
        if not self._lowered.done():
            self._lowered.set_result(lowered)
        program = compiler_flags.compiled(lowered)
        self._train[batch["targets"].shape] = program
        return program

    def fingerprint(self) -> str:
        """Returns the hash of the first train program as it is handed to the compiler."""
        for future in self._pending[:1]:
            future.add_done_callback(self._failed_to_lower)
        lowered = self._lowered.result()
        return lowered and hashlib.sha256(lowered.as_text().encode()).hexdigest()[:16]

    def _failed_to_lower(self, future: concurrent.futures.Future) -> None:
        if future.exception() is not None and not self._lowered.done():
            self._lowered.set_exception(future.exception())

    def _make_evaluate(self, batch):
        shapes = self._programs.shapes
        program = self._programs.evaluate.lower(
            shapes["params"], shapes["frozen"], shapes["carry"], batch
        ).compile()
        self._evaluate[batch["targets"].shape] = program
        return program

    def wait(self, stop) -> float:
        """Waits for the background compilation (or a stop); returns its seconds since the start."""
        for future in self._pending:
            while not future.done() and not stop.heard:
                concurrent.futures.wait([future], timeout=0.2)
            if stop.heard:
                self.abandon()
                break
            future.result()
        return time.monotonic() - self._begun

    def train(self, state: dict, batch: dict) -> tuple[dict, dict]:
        """Runs one train step, donating the state; returns (state, metrics)."""
        if self._eager is not None:
            return self._eager(state, batch)
        program = self._train.get(batch["targets"].shape)
        if program is None:
            with self._meanwhile():
                program = self._make_train(jax.tree.map(_shape_of, batch))
        return program(state, batch)

    def evaluate(self, params, frozen, carry, batch: dict) -> dict:
        """Returns (sums of loss, correct and weight over one held-out batch, carry)."""
        program = self._evaluate.get(batch["targets"].shape)
        if program is None:
            with self._meanwhile():
                program = self._make_evaluate(jax.tree.map(_shape_of, batch))
        return program(params, frozen, carry, batch)


def _shape_of(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def abstract_batch(run, programs: Programs, size: int) -> dict:
    """Returns the shapes and shardings of a batch of `size` rows before any data is there."""
    shapes = batch_shapes(run.posed, size, always_full(run.data, run.posed))
    return programs.abstract_batch(
        jax.tree.map(
            lambda facts: jax.ShapeDtypeStruct(*facts), shapes, is_leaf=lambda x: type(x) is tuple
        )
    )
