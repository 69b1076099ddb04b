"""Metric rows: one JSON object a line in `metrics.jsonl`, and TensorBoard events beside it.

A row is written once. Resuming at step S drops the rows past S (their steps are about to be run
again) and whatever a killed process left half-written. An object store cannot append: there every
process start writes a part file of its own, `metrics.part-N.jsonl`.
"""

import json
import math
import os
from typing import Any

import fsspec

METRICS = "metrics.jsonl"


def is_remote(directory: str) -> bool:
    """Whether a path is a URL of an object store."""
    return "://" in directory


def _parts(directory: str) -> list[str]:
    if not is_remote(directory):
        return [os.path.join(directory, METRICS)]
    files = fsspec.core.url_to_fs(directory)[0]
    names = files.glob(directory.split("://", 1)[1] + "/metrics.part-*.jsonl")
    return [files.unstrip_protocol(name) for name in sorted(names)]


def read_rows(directory: str) -> list[dict[str, Any]]:
    """Returns every whole metric row of a run directory in the order written."""
    rows = []
    for part in _parts(directory):
        try:
            with fsspec.open(part, "rt", encoding="utf-8") as file:
                lines = file.read().split("\n")
        except FileNotFoundError:
            continue
        for line in lines[:-1]:  # what follows the last newline was cut off by a kill
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
    return rows


class MetricWriter:
    """Writes the rows of one process; `after` is the step resumed from (rows past it are dropped)."""

    def __init__(self, directory: str, after: int, tensorboard: bool = True):
        self.rows = [row for row in read_rows(directory) if row["step"] <= after]
        self._remote = is_remote(directory)
        if self._remote:
            old = _parts(directory)
            self._path = f"{directory}/metrics.part-{len(old):05d}.jsonl"
            self._text = "".join(_line(row) for row in self.rows)
            self._flush_remote()
            files = fsspec.core.url_to_fs(directory)[0]
            for part in old:  # only now: the rows that stay are in the new part
                files.rm(part)
        else:
            os.makedirs(directory, exist_ok=True)
            self._path = os.path.join(directory, METRICS)
            with open(self._path + ".new", "w", encoding="utf-8") as file:
                file.writelines(_line(row) for row in self.rows)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._path + ".new", self._path)
            self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 closed by close()
        self._board = None
        if tensorboard and not self._remote:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(
                os.path.join(directory, "tensorboard"), purge_step=after + 1 if after else None
            )

    def has(self, step: int, split: str) -> bool:
        """Whether a row of this step and split is already there."""
        return any(r["step"] == step and r["split"] == split for r in reversed(self.rows))

    def write(self, step: int, split: str, values: dict[str, float]) -> None:
        """Appends one row and hands it to the operating system at once (kill -9 does not lose it)."""
        clean = {k: _plain(v) for k, v in values.items()}
        row = {"step": step, "split": split, **clean}
        self.rows.append(row)
        if self._remote:
            self._text += _line(row)
        else:
            self._file.write(_line(row))
            self._file.flush()
        if self._board is not None:
            for name, value in clean.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{split}/{name}", value, step)

    def _flush_remote(self) -> None:
        with fsspec.open(self._path, "wt", encoding="utf-8") as file:
            file.write(self._text)

    def flush(self) -> None:
        """Makes everything written so far durable (called before each checkpoint)."""
        if self._remote:
            self._flush_remote()
        else:
            os.fsync(self._file.fileno())
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        self.flush()
        if not self._remote:
            self._file.close()
        if self._board is not None:
            self._board.close()


def _plain(value: Any) -> Any:
    """JSON has no NaN: a non-finite number is written as text, so that every row stays readable."""
    if isinstance(value, bool | int | str):
        return value
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"
