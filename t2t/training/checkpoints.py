"""Writing checkpoints: asynchronous, all or nothing, kept by rule; and resuming from them.

Orbax's CheckpointManager does the writing and the deleting; this module decides when, adds the
manifest (see `checkpoint_reading`) and never lets a failed or an unsound save pass unnoticed.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from t2t.errors import Failure
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.checkpoint_reading import (
    Unsound,
    as_path,
    checksum,
    is_key,
    nested,
    one_line,
    read_manifest,
    read_newest,
    restore_parameters,
    steps_in,
    to_stderr,
)
from t2t.training.fingerprints import fingerprints
from t2t.training.leaf_names import named_leaves

__all__ = ["CheckpointStore", "open_checkpoints", "restore_parameters", "steps_in"]

# Several processes ask the first one's clock by a collective, which waits for the step in flight.
_CLOCK_EVERY_STEPS = 10
_policies = ocp.checkpoint_managers


class _KeepBest(_policies.PreservationPolicy):
    """Keeps the `count` best steps by a metric; steps without it are not ranked.

    Orbax's own BestN reads metrics when a manager is opened and fails on one damaged file.
    """

    def __init__(self, count: int, mode: str):
        self.values: dict[int, float] = {}
        self._count, self._sign = count, 1 if mode == "min" else -1

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        ranked = sorted(
            (s.step for s in checkpoints if s.step in self.values),
            key=lambda step: (self._sign * self.values[step], -step),
        )
        best = set(ranked[: self._count])
        return [c.step in best for c in checkpoints]


class CheckpointStore:
    """The checkpoints of one run. Every process calls every method, in the same order."""

    def __init__(
        self,
        directory: str | os.PathLike,
        cfg: Checkpoints,
        *,
        read_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = to_stderr,
    ):
        self.directory = str(as_path(directory))
        self._cfg, self._clock, self._say = cfg, clock, say
        self._saved_at = clock()
        self._pending: int | None = None  # the step whose save is not known to be finished
        self._last: int | None = None  # the newest step saved or restored here
        self._unsound: set[int] = set()
        self._manager = None
        if read_only:
            return
        self._best = _KeepBest(cfg.keep_best, cfg.best_mode)
        self._manager = self._opened()
        if cfg.keep_best:
            for step in self.steps():
                self._remember_metric(step)

    def _opened(self) -> ocp.CheckpointManager:
        keep = [_policies.LatestN(self._cfg.keep_latest)]
        if self._cfg.keep_every_steps:
            keep.append(_policies.EveryNSteps(self._cfg.keep_every_steps))
        if self._cfg.keep_best:
            keep.append(self._best)
        try:
            return ocp.CheckpointManager(
                as_path(self.directory),
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=_policies.AnyPreservationPolicy(keep),
                    cleanup_tmp_directories=True,
                    save_root_metadata=False,
                    async_options=ocp.AsyncOptions(timeout_secs=3600),
                ),
                item_handlers={
                    # Trained weights compress by 8 % and make saving five times slower.
                    "state": ocp.PyTreeCheckpointHandler(use_compression=False),
                    "manifest": ocp.JsonCheckpointHandler(filename="manifest.json"),
                },
            )
        except OSError as error:
            raise Failure(f"{self.directory}: cannot be opened: {one_line(error)}") from error

    def _remember_metric(self, step: int) -> None:
        try:
            metrics = read_manifest(self.directory, step)["metrics"]
        except Unsound:
            return  # found out, and said, where this step is restored
        self.rank(step, metrics)

    def rank(self, step: int, metrics: dict) -> None:
        """Ranks a saved step by its `best_metric`, where it was evaluated only after its save."""
        value = metrics.get(self._cfg.best_metric)
        if value is not None and not math.isnan(value):
            self._best.values[step] = value

    def steps(self) -> list[int]:
        """Returns the finished steps in ascending order."""
        return steps_in(self.directory)

    def latest_step(self) -> int | None:
        """Returns the newest finished step, sound or not; None where there is none."""
        return max(self.steps(), default=None)

    def due(self, step: int) -> bool:
        """Whether this step should be saved, by the configured steps and seconds.

        Raises: Failure as soon as a save under way is known to have failed.
        """
        if self._pending is not None and not self._manager.is_saving_in_progress():
            self.wait()
        if step == self._last:
            return False
        if self._cfg.every_steps and step % self._cfg.every_steps == 0:
            return True
        if not self._cfg.every_seconds:
            return False
        overdue = self._clock() - self._saved_at >= self._cfg.every_seconds
        if jax.process_count() == 1:
            return overdue
        if step % _CLOCK_EVERY_STEPS:
            return False
        from jax.experimental import multihost_utils

        return bool(multihost_utils.broadcast_one_to_all(np.asarray(overdue)))

    def save(self, step: int, state: Any, record: dict, metrics: dict | None = None) -> None:
        """Starts saving; returns when the arrays may be donated, with the writing still under way.

        record: JSON, handed back by `restore`. metrics: name -> number; the one called
        `best_metric` ranks this step. Steps at or past `step` are of a history that this run has
        left (it resumed from before them): they are moved to STEP.superseded, or STEP.unsound where
        they were found damaged.
        Raises: Failure where the save before this one, or starting this one, failed.
        """
        self.wait()
        self._set_aside(step)
        metrics = {name: float(value) for name, value in (metrics or {}).items()}
        arrays = {
            name: jax.random.key_data(x) if is_key(x) else x
            for name, x in ((name, jnp.asarray(x)) for name, x in named_leaves(state).items())
        }
        prints = fingerprints(arrays) if self._cfg.verify else {}
        content = {
            "step": step,
            "record": record,
            "metrics": metrics,
            "leaves": {
                name: {"shape": list(x.shape), "dtype": x.dtype.name}
                | ({"fingerprint": prints[name]} if prints else {})
                for name, x in arrays.items()
            },
        }
        self.rank(step, metrics)
        self._pending = step
        try:
            self._manager.save(
                step,
                force=True,
                args=ocp.args.Composite(
                    state=ocp.args.PyTreeSave(nested(arrays)),
                    manifest=ocp.args.JsonSave({"crc32": checksum(content), "content": content}),
                ),
            )
        except Exception as error:
            raise self._failed(error) from error
        self._last, self._saved_at = step, self._clock()

    def wait(self) -> None:
        """Waits until the save under way is on disk. Raises: Failure where it could not be."""
        if self._pending is None:
            return
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._failed(error) from error
        self._pending = None

    def _failed(self, error: Exception) -> Failure:
        step, self._pending = self._pending, None
        if self._last == step:
            self._last = None
        with contextlib.suppress(Exception):  # it waits for whatever still writes, which fails too
            self._manager.close()
        if jax.process_index() == 0:  # what it had written may be what fills the disk
            _remove_while_written(as_path(self.directory), f"{step}.orbax-checkpoint-tmp*")
        self._manager = self._opened()
        return Failure(
            f"{self.directory}: step {step} could not be saved: {one_line(error)}; "
            "the steps before it stand"
        )

    def _set_aside(self, step: int) -> None:
        """Moves away what would stand in the way of a save at `step`, or be taken for newer."""
        gone = [s for s in self.steps() if s >= step or s in self._unsound]
        if not gone:
            return
        if jax.process_index() == 0:
            root = as_path(self.directory)
            for old in gone:
                name = f"{old}.{'unsound' if old in self._unsound else 'superseded'}"
                target, count = root / name, 1
                while target.exists():
                    count += 1
                    target = root / f"{name}.{count}"
                (root / str(old)).rename(target)
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("t2t checkpoints set aside")
        self._unsound -= set(gone)
        for old in gone:
            self._best.values.pop(old, None)
        self._manager.reload()

    def restore(self, abstract: Any, step: int | None = None) -> tuple[int, Any, dict]:
        """Returns (step, state, record) of the newest sound step, or of the step asked for.

        abstract: like the state, ShapeDtypeStructs with shardings: any mesh, any dtype.
        Raises: UserError where names or shapes differ from the saved ones or the step is not there;
        Failure where no step is sound.
        """
        found, state, record, unsound = read_newest(
            self.directory, abstract, step, verify=self._cfg.verify, say=self._say
        )
        self._unsound |= set(unsound)
        self._last = found
        return found, state, record

    def close(self) -> None:
        """Finishes the save under way and ends Orbax's threads. Raises: Failure as `wait`."""
        if self._manager is None:
            return
        try:
            self.wait()
        finally:
            manager, self._manager = self._manager, None
            manager.close()


def _remove_while_written(folder, pattern: str, tries: int = 50) -> None:
    """Removes what matches, again while a writer that nobody can wait for puts files back.

    What still stands after all tries is removed by the next start.
    """
    for _ in range(tries):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                path.rmtree(missing_ok=True)
        time.sleep(0.1)
        if not any(folder.glob(pattern)):
            return


def open_checkpoints(
    directory: str | os.PathLike,
    cfg: Checkpoints,
    *,
    read_only: bool = False,
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], None] = to_stderr,
) -> CheckpointStore:
    """Opens a run's checkpoint directory; half-written saves in it are removed.

    read_only: nothing is created, removed or saved: for whoever reads beside a run that writes.
    Raises: Failure where the directory cannot be made.
    """
    return CheckpointStore(directory, cfg, read_only=read_only, clock=clock, say=say)
