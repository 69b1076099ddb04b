"""Goodput: the share of a run's wall time, over all its starts, that went into steps it kept.

    DIR/goodput/START.json   one process start: when it began and was last seen, where it went on from,
                             how long its steps up to each checkpoint took, and what else took how long

Steps after the checkpoint that the next start went on from were lost, and count for nothing. Nothing
but the run directory is needed: no service, no cloud.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from t2t.data import files
from t2t.errors import Failure, UserError

FOLDER = "goodput"
_EVERY_SECONDS = 30.0  # a killed start is seen last at most this long before its end
# What a start may have spent, beside its steps: before its first step, and after.
BEFORE, AFTER = ("restoring", "compiling"), ("evaluating", "saving")


class Spent(NamedTuple):
    """Seconds of a run: `wall` is the sum of the others."""

    wall: float
    kept: float  # in steps that are part of the run
    lost: float  # in steps that a later start did again
    starting: float  # from a process's begin to its first step: devices, data, parameters
    restoring: float  # of a checkpoint
    compiling: float  # waited for the compiler, which works beside the rest of a start
    evaluating: float
    saving: float  # waited for a checkpoint's arrays, and for the last one to be on disk
    other: float  # between steps, evaluations and saves
    down: float  # between starts, and in what a killed start did after it was last seen
    starts: int

    @property
    def goodput(self) -> float:
        return self._share(self.kept)

    def _share(self, seconds: float) -> float:
        return seconds / self.wall if self.wall > 0 else 0.0

    def describe(self) -> str:
        """Returns one line: the share, and where the rest went."""
        rest = {
            "starting": self.starting,
            "restoring": self.restoring,
            "compiling": self.compiling,
            "evaluating": self.evaluating,
            "saving": self.saving,
            "steps done again": self.lost,
            "down": self.down,
            "other": self.other,
        }
        shares = {name: self._share(seconds) for name, seconds in rest.items()}
        shown = ", ".join(f"{name} {share:.1%}" for name, share in shares.items() if share > 5e-4)
        starts = f"{self.starts} start{'s' if self.starts > 1 else ''}"
        return f"goodput {self.goodput:.1%} of {self.wall:.0f} s in {starts} ({shown})"


class Goodput:
    """Keeps the record of this start; `start` is the step it goes on from.

    began: seconds of wall clock at which the process began. before: seconds until here by the names
    of BEFORE. writes: False in all but one process.
    """

    def __init__(
        self,
        directory: str,
        start: int,
        began: float,
        writes: bool = True,
        before: dict[str, float] | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self._writes, self._clock = writes, clock
        self._directory, self._written = directory, -float("inf")
        self._record: dict[str, Any] = {
            "began": began,
            "start": start,
            "first_step": clock(),
            "seconds": 0.0,
            "until": {},
            **dict.fromkeys((*BEFORE, *AFTER), 0.0),
            **(before or {}),
        }
        if writes:
            self._path = f"{directory}/{FOLDER}/{len(_records(directory)):05d}.json"
            self._write()

    def seen(self, seconds: float) -> None:
        """Notes that steps took `seconds` in all since the first; now and then that is written."""
        self._record["seconds"] = seconds
        if self._writes and self._clock() - self._written > _EVERY_SECONDS:
            self._write()

    def saved(self, step: int, seconds: float) -> None:
        """Notes that what the steps up to `step` did is kept, if the next start goes on from it."""
        self._record["until"][str(step)] = self._record["seconds"] = seconds
        if self._writes:
            self._write()

    @contextlib.contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Counts what happens inside as `what`, of AFTER."""
        entered = self._clock()
        yield
        self._record[what] += self._clock() - entered

    def describe(self) -> str:
        """Returns the run's goodput so far in one line; nothing where another process keeps it."""
        if not self._writes:
            return ""
        self._write()
        return spent(self._directory).describe()

    def _write(self) -> None:
        self._written = self._clock()
        content = {**self._record, "last": self._written}
        files.write_bytes(self._path, json.dumps(content).encode())


def _records(directory: str) -> list[dict[str, Any] | None]:
    """Returns the records of every start in order; None for one that is damaged."""
    found = []
    for name in files.listing(f"{directory}/{FOLDER}"):
        if name.endswith(".json"):
            try:
                found.append(_sound(json.loads(files.read_bytes(f"{directory}/{FOLDER}/{name}"))))
            except (UserError, Failure, ValueError, TypeError, KeyError, AttributeError):
                found.append(None)
    return found


def _sound(record: dict[str, Any]) -> dict[str, Any]:
    """A record with every number in place. What took how long was not always noted."""
    numbers = ("began", "first_step", "last", "seconds", "start")
    until = {int(step): float(seconds) for step, seconds in record["until"].items()}
    optional = {name: float(record.get(name, 0.0)) for name in (*BEFORE, *AFTER)}
    return {**{name: float(record[name]) for name in numbers}, **optional, "until": until}


def spent(directory: str) -> Spent | None:
    """Returns where the time of a run went, by the records in its directory; None without any."""
    records = [record for record in _records(directory) if record is not None]
    if not records:
        return None
    kept = 0.0
    for i, record in enumerate(records):
        later = [other["start"] for other in records[i + 1 :]]
        if not later:
            kept += record["seconds"]
            continue
        kept += max((s for step, s in record["until"].items() if step <= min(later)), default=0.0)
    total = {name: sum(record[name] for record in records) for name in ("seconds", *BEFORE, *AFTER)}
    wall = max(record["last"] for record in records) - min(record["began"] for record in records)
    before = sum(record["first_step"] - record["began"] for record in records)
    inside = sum(record["last"] - record["first_step"] for record in records)
    return Spent(
        wall=wall,
        kept=kept,
        lost=total["seconds"] - kept,
        starting=max(before - sum(total[name] for name in BEFORE), 0.0),
        **{name: total[name] for name in (*BEFORE, *AFTER)},
        other=max(inside - total["seconds"] - sum(total[name] for name in AFTER), 0.0),
        down=max(wall - before - inside, 0.0),
        starts=len(records),
    )
