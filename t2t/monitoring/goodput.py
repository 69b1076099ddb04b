"""Goodput: the share of a run's wall time, over all its starts, that went into steps it kept.

    DIR/goodput/START.json   one process start: when it began and was last seen, where it went on from,
                             and how long its steps up to each checkpoint took

Steps after the checkpoint that the next start went on from were lost, and count for nothing. Nothing
but the run directory is needed: no service, no cloud.
"""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from t2t.data import files
from t2t.errors import Failure, UserError

FOLDER = "goodput"
_EVERY_SECONDS = 30.0  # a killed start is seen last at most this long before its end


class Spent(NamedTuple):
    """Seconds of a run: `wall` is the sum of the others."""

    wall: float
    kept: float  # in steps that are part of the run
    lost: float  # in steps that a later start did again
    other: float  # in evaluations and saves
    starting: float  # from a process's begin to its first step: data, restoring, compiling
    down: float  # between starts, and in what a killed start did after it was last seen
    starts: int

    @property
    def goodput(self) -> float:
        return self.kept / self.wall if self.wall else 0.0

    def describe(self) -> str:
        """Returns one line: the share, and where the rest went."""
        rest = {
            "starting": self.starting,
            "evaluating and saving": self.other,
            "steps done again": self.lost,
            "down": self.down,
        }
        shown = ", ".join(f"{name} {s / self.wall:.1%}" for name, s in rest.items() if s > 0)
        starts = f"{self.starts} start{'s' if self.starts > 1 else ''}"
        return f"goodput {self.goodput:.1%} of {self.wall:.0f} s in {starts} ({shown})"


class Goodput:
    """Keeps the record of this start; `start` is the step it goes on from.

    began: seconds of wall clock at which the process began. writes: False in all but one process.
    """

    def __init__(
        self,
        directory: str,
        start: int,
        began: float,
        writes: bool = True,
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


def _records(directory: str) -> list[dict[str, Any]]:
    """Returns the records of every start in order; a damaged one is left out."""
    found = []
    for name in files.listing(f"{directory}/{FOLDER}"):
        if name.endswith(".json"):
            try:
                found.append(json.loads(files.read_bytes(f"{directory}/{FOLDER}/{name}")))
            except (UserError, Failure, ValueError):
                found.append(None)
    return found


def spent(directory: str) -> Spent:
    """Returns where the time of a run went, by the records in its directory."""
    records = [record for record in _records(directory) if record is not None]
    if not records:
        return Spent(0, 0, 0, 0, 0, 0, 0)
    kept = all_steps = 0.0
    for i, record in enumerate(records):
        all_steps += record["seconds"]
        later = [other["start"] for other in records[i + 1 :]]
        if not later:
            kept += record["seconds"]
            continue
        until = [s for step, s in record["until"].items() if int(step) <= min(later)]
        kept += max(until, default=0.0)
    wall = records[-1]["last"] - records[0]["began"]
    starting = sum(record["first_step"] - record["began"] for record in records)
    inside = sum(record["last"] - record["first_step"] for record in records)
    return Spent(
        wall=wall,
        kept=kept,
        lost=all_steps - kept,
        other=max(inside - all_steps, 0.0),
        starting=starting,
        down=max(wall - starting - inside, 0.0),
        starts=len(records),
    )
