"""Metric rows: one JSON object a line in `metrics.jsonl`, and TensorBoard events beside it.

A row is written once. Resuming at step S drops the rows past S (their steps are about to be run
again) and whatever a killed process left half-written. An object store cannot append: there every
process start writes a part file of its own, `metrics.part-N.jsonl`, which begins with the rows that
stay, so that the newest part is always the whole.
"""

import json
import math
import os
import re
import tempfile
from collections.abc import Callable
from typing import Any

import fsspec

METRICS = "metrics.jsonl"


def is_remote(directory: str) -> bool:
    """Whether a path is a URL of an object store."""
    return "://" in directory


def _part_name(number: int) -> str:
    return f"metrics.part-{number:05d}.jsonl"


def _parts(directory: str) -> list[int]:
    """Returns the numbers of the part files of a run directory in an object store, ascending."""
    files, path = fsspec.core.url_to_fs(directory)
    files.invalidate_cache()
    names = files.glob(f"{path}/metrics.part-*.jsonl")
    found = (re.search(r"metrics\.part-(\d+)\.jsonl$", name) for name in names)
    return sorted(int(match.group(1)) for match in found if match)


def read_rows(directory: str) -> list[dict[str, Any]]:
    """Returns every whole metric row of a run directory in the order written."""
    return scan_rows(directory)[0]


def scan_rows(directory: str) -> tuple[list[dict[str, Any]], list[int]]:
    """Returns the whole rows of a run directory, and the numbers of the lines that are none."""
    name = METRICS
    if is_remote(directory):
        parts = _parts(directory)
        if not parts:
            return [], []
        name = _part_name(parts[-1])
    try:
        with fsspec.open(f"{directory}/{name}", "rt", encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    rows, damaged = [], []
    for number, line in enumerate(lines, 1):
        row = _row(line) if number < len(lines) else None  # a kill cuts off the last newline
        if row is not None:
            rows.append(row)
        elif line:
            damaged.append(number)
    return rows, damaged


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("split"), str):
        return None
    return row if type(row.get("step")) is int else None


class MetricWriter:
    """Writes the rows of one process; `after` is the step resumed from (rows past it are dropped).

    writes: False in all but the first of several processes, which only remember the rows.
    when_read: called once the rows there are have been read, and before any of them is dropped.
    """

    def __init__(
        self,
        directory: str,
        after: int,
        tensorboard: bool = True,
        writes: bool = True,
        when_read: Callable[[], None] = lambda: None,
    ):
        self.rows = [row for row in read_rows(directory) if row["step"] <= after]
        when_read()
        self._directory, self._remote = directory, is_remote(directory)
        self._writes = writes
        self._board = self._scratch = None
        if not writes:
            return
        if self._remote:
            old = _parts(directory)
            self._path = f"{directory}/{_part_name(old[-1] + 1 if old else 0)}"
            self._text = "".join(_line(row) for row in self.rows)
            self._put(self._path, self._text.encode())
            files, path = fsspec.core.url_to_fs(directory)
            for number in old:  # only now: the rows that stay are in the new part
                files.rm(f"{path}/{_part_name(number)}")
        else:
            os.makedirs(directory, exist_ok=True)
            self._path = os.path.join(directory, METRICS)
            with open(self._path + ".new", "w", encoding="utf-8") as file:
                file.writelines(_line(row) for row in self.rows)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._path + ".new", self._path)
            self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 closed by close()
        if tensorboard:
            self._open_board(after)

    def _open_board(self, after: int) -> None:
        """Opens an event file of this process start; it tells TensorBoard to forget steps past `after`.

        Event files are appended to: for an object store they are written beside it and put whole.
        """
        from tensorboardX import SummaryWriter

        files, path = fsspec.core.url_to_fs(f"{self._directory}/tensorboard")
        before = len(files.ls(path, detail=False)) if files.exists(path) else 0
        folder = os.path.join(self._directory, "tensorboard")
        if self._remote:
            self._scratch = tempfile.TemporaryDirectory(prefix="t2t-tensorboard-")
            folder = self._scratch.name
        self._board = SummaryWriter(
            folder, purge_step=after + 1, filename_suffix=f".{before:05d}", flush_secs=10
        )

    def has(self, step: int, split: str) -> bool:
        """Whether a row of this step and split is already there."""
        return any(r["step"] == step and r["split"] == split for r in reversed(self.rows))

    def write(self, step: int, split: str, values: dict[str, float]) -> None:
        """Appends one row and hands it to the operating system at once (kill -9 does not lose it)."""
        clean = {k: _plain(v) for k, v in values.items()}
        row = {"step": step, "split": split, **clean}
        self.rows.append(row)
        if not self._writes:
            return
        if self._remote:
            self._text += _line(row)
        else:
            self._file.write(_line(row))
            self._file.flush()
        if self._board is not None:
            for name, value in clean.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{split}/{name}", value, step)

    def _put(self, path: str, content: bytes) -> None:
        with fsspec.open(path, "wb") as file:
            file.write(content)

    def _put_events(self) -> None:
        for name in os.listdir(self._scratch.name):
            with open(os.path.join(self._scratch.name, name), "rb") as file:
                self._put(f"{self._directory}/tensorboard/{name}", file.read())

    def flush(self) -> None:
        """Makes everything written so far durable (called before each checkpoint)."""
        if not self._writes:
            return
        if self._remote:
            self._put(self._path, self._text.encode())
        else:
            os.fsync(self._file.fileno())
        if self._board is not None:
            self._board.flush()
        if self._scratch is not None:
            self._put_events()

    def close(self) -> None:
        """Flushes, and closes every file."""
        self.flush()
        if self._writes and not self._remote:
            self._file.close()
        if self._board is not None:
            self._board.close()
        if self._scratch is not None:
            self._put_events()
            self._scratch.cleanup()


def _plain(value: Any) -> Any:
    """JSON has no NaN: a non-finite number is written as text, so that every row stays readable."""
    if isinstance(value, bool | int | str):
        return value
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"
