"""Predictions on disk: `predictions/NAME/STEP.jsonl`, a line an example, and what they scored.

While a task is decoded every batch is a file of its own in `STEP.parts-KEY/`, whole or not there; a
run that is killed goes on from them, and so do several hosts that share the examples. The lines are
joined at the end, then the scores are written to `STEP.json`, then the parts are deleted.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

import fsspec

from t2t.data import files
from t2t.errors import Failure, UserError, nearest
from t2t.evaluation.judgement import Line, Result

FOLDER = "predictions"


class PredictionStore:
    """The predictions of one task at one step.

    key: a hash of all that they depend on, the checkpoint's parameters too; what is found under
    another key is not used.
    """

    def __init__(self, workdir: str, name: str, step: int, key: str):
        self.base = f"{workdir}/{FOLDER}/{name}/{step}"
        self.key = key
        self._parts = f"{self.base}.parts-{key}"

    def result(self) -> Result | None:
        """What was scored before, where it has this key."""
        found = read_json(f"{self.base}.json")
        if found and found.get("key") == self.key and _exists(f"{self.base}.jsonl"):
            return found
        return None

    def lines(self) -> list[Line]:
        """The joined lines, in the order of the examples."""
        return read_lines(f"{self.base}.jsonl")

    def done(self) -> dict[int, Line]:
        """What was decoded so far, by the example's index."""
        return {
            line["index"]: line
            for part in _listed(self._parts, ".jsonl")
            for line in read_lines(part)
        }

    def add(self, lines: Sequence[Line]) -> None:
        """Keeps a batch, in a file named by its first example, which no other batch holds."""
        path = f"{self._parts}/{min(line['index'] for line in lines)}.jsonl"
        files.write_bytes(path, _as_jsonl(lines))

    def finish(self, lines: Sequence[Line], result: Result) -> Result:
        """Joins all lines, writes what they scored, and deletes the parts; returns what it wrote."""
        result = {**result, "key": self.key}
        files.write_bytes(f"{self.base}.jsonl", _as_jsonl(lines))
        text = json.dumps(result, indent=1, allow_nan=False) + "\n"
        files.write_bytes(f"{self.base}.json", text.encode())
        filesystem, inner = _filesystem(self._parts)
        if filesystem.exists(inner):
            filesystem.rm(inner, recursive=True)
        return result


def _as_jsonl(lines: Sequence[Line]) -> bytes:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return text.encode(errors="replace")  # half a surrogate pair is no UTF-8


def _filesystem(path: str):
    return fsspec.core.url_to_fs(path if "://" in path else os.path.abspath(path))


def _exists(path: str) -> bool:
    filesystem, inner = _filesystem(path)
    return filesystem.exists(inner)


def _listed(folder: str, suffix: str) -> list[str]:
    filesystem, inner = _filesystem(folder)
    if not filesystem.isdir(inner):
        return []
    names = [entry.rstrip("/").rsplit("/", 1)[-1] for entry in filesystem.ls(inner, detail=False)]
    return sorted(f"{folder}/{name}" for name in names if name.endswith(suffix))


def read_json(path: str) -> dict[str, Any] | None:
    """A result file; None where it is not there. Raises Failure where it is damaged."""
    if not _exists(path):
        return None
    try:
        return json.loads(files.read_bytes(path))
    except ValueError as error:
        raise Failure(f"{path}: is damaged ({error}); remove it and run again") from error


def read_lines(path: str) -> list[Line]:
    """The objects of a JSONL file of ours. Raises Failure where it is damaged."""
    try:
        return [json.loads(line) for line in files.read_bytes(path).splitlines()]
    except ValueError as error:
        raise Failure(f"{path}: is damaged ({error}); remove it and run again") from error


def results(workdir: str) -> list[Result]:
    """Every result of a run, by name and step."""
    filesystem, inner = _filesystem(f"{workdir}/{FOLDER}")
    if not filesystem.isdir(inner):
        return []
    found = []
    for entry in filesystem.ls(inner, detail=False):
        name = entry.rstrip("/").rsplit("/", 1)[-1]
        for path in _listed(f"{workdir}/{FOLDER}/{name}", ".json"):
            result = read_json(path)
            if result:
                found.append(result)
    return sorted(found, key=lambda result: (result["name"], result["step"]))


def newest(workdir: str, name: str, step: int | None = None) -> Result:
    """A result by name, of its newest step unless told. Raises UserError where none is."""
    every = results(workdir)
    mine = [result for result in every if result["name"] == name]
    if not mine:
        raise UserError(
            f"{workdir}: has no predictions of {name}{nearest(name, {r['name'] for r in every})}; "
            "run t2t eval there first"
        )
    of_step = [result for result in mine if step in (None, result["step"])]
    if not of_step:
        steps = ", ".join(str(result["step"]) for result in mine)
        raise UserError(f"{workdir}: has predictions of {name} at step {steps}, not {step}")
    return max(of_step, key=lambda result: result["step"])
