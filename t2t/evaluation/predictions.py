"""Predictions on disk: `predictions/TASK/STEP.jsonl`, a line an example, and what they scored.

While a task is decoded every batch is a file of its own in `STEP.parts-IDENTITY/`, whole or not
there; a run that is killed goes on from them. The lines are joined at the end, then the scores are
written to `STEP.json`, then the parts are deleted.
"""

import json
import os
from typing import Any

import fsspec

from t2t.data import files
from t2t.errors import Failure, UserError
from t2t.evaluation.prepared import Prepared

FOLDER = "predictions"


class PredictionStore:
    """The predictions of one task at one step."""

    def __init__(self, workdir: str, name: str, step: int, identity: str):
        self.base = f"{workdir}/{FOLDER}/{name}/{step}"
        self.identity = identity
        self._parts = f"{self.base}.parts-{identity}"

    def result(self) -> dict[str, Any] | None:
        """What was scored before, where it was of these very examples and settings."""
        found = read_json(f"{self.base}.json")
        if found and found.get("identity") == self.identity and _exists(f"{self.base}.jsonl"):
            return found
        return None

    def lines(self) -> list[dict[str, Any]]:
        """The joined lines, in the order of the examples."""
        return read_lines(f"{self.base}.jsonl")

    def done(self) -> dict[int, dict[str, Any]]:
        """What earlier runs decoded, by the example's index."""
        return {
            line["index"]: line
            for part in _listed(self._parts, ".jsonl")
            for line in read_lines(part)
        }

    def add(self, lines: list[dict[str, Any]]) -> None:
        """Keeps a batch. A batch is named by its first example: none is decoded twice."""
        path = f"{self._parts}/{min(line['index'] for line in lines)}.jsonl"
        files.write_bytes(path, _as_jsonl(lines))

    def finish(self, lines: list[dict[str, Any]], result: dict[str, Any]) -> None:
        """Joins all lines, writes what they scored, and deletes the parts."""
        files.write_bytes(f"{self.base}.jsonl", _as_jsonl(lines))
        text = json.dumps({"identity": self.identity, **result}, indent=1, allow_nan=False) + "\n"
        files.write_bytes(f"{self.base}.json", text.encode())
        filesystem, inner = _filesystem(self._parts)
        if filesystem.exists(inner):
            filesystem.rm(inner, recursive=True)


def store_name(prepared: Prepared) -> str:
    """The task's folder: its name, and the split where it is not the usual one."""
    usual = prepared.split == prepared.task.judged
    return prepared.task.name if usual else f"{prepared.task.name}.{prepared.split}"


def _as_jsonl(lines: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode(
        errors="replace"
    )


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


def read_lines(path: str) -> list[dict[str, Any]]:
    """The objects of a JSONL file of ours. Raises Failure where it is damaged."""
    try:
        return [json.loads(line) for line in files.read_bytes(path).splitlines()]
    except ValueError as error:
        raise Failure(f"{path}: is damaged ({error}); remove it and run again") from error


def results(workdir: str) -> list[dict[str, Any]]:
    """Every result of a run, by task and step."""
    filesystem, inner = _filesystem(f"{workdir}/{FOLDER}")
    if not filesystem.isdir(inner):
        return []
    found = []
    for entry in sorted(filesystem.ls(inner, detail=False)):
        name = entry.rstrip("/").rsplit("/", 1)[-1]
        for path in _listed(f"{workdir}/{FOLDER}/{name}", ".json"):
            result = read_json(path)
            if result:
                found.append(result)
    return sorted(found, key=lambda result: (result["name"], result["step"]))


def newest(workdir: str, name: str) -> dict[str, Any]:
    """The result of a task's newest step (TASK, or TASK.SPLIT). Raises UserError where none is."""
    mine = [result for result in results(workdir) if result["name"] == name]
    if not mine:
        raise UserError(f"{workdir}: has no predictions of {name}; run t2t eval there first")
    return max(mine, key=lambda result: result["step"])
