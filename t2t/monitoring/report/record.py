"""What a run directory holds, read for the report: whatever is there, and notes of what is not."""

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from t2t.data import files
from t2t.errors import UserError, nearest
from t2t.monitoring import metrics
from t2t.monitoring.goodput import Spent, spent

CLOSING = "closing.txt"  # what training said of the finished model


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """The judgement of one task: results by step, ascending, and lines of the newest predictions.

    lines: a few examples spread over the file, {input, target, prediction, ...}.
    """

    name: str
    results: tuple[dict[str, Any], ...]
    lines: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run as the report shows it. curves: {(split, metric): (steps [N], values [N])}."""

    directory: str
    name: str
    saved: dict[str, Any]  # config.json: config, versions, hardware
    curves: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]
    tasks: tuple[TaskResult, ...]
    averages: dict[int, dict[str, float]]  # of benchmarks, by step
    parameters: tuple[tuple[str, ...], ...]  # the rows of model.txt, its header first
    closing: tuple[str, ...]
    checkpoints: tuple[int, ...]
    spent: Spent | None  # where its time went, over all its starts
    notes: tuple[str, ...]

    @property
    def steps(self) -> int:
        """The last step that a row stands for."""
        return max((int(steps[-1]) for steps, _ in self.curves.values()), default=0)

    @property
    def planned(self) -> int | None:
        """How many steps the run was to take."""
        training = self.saved.get("config", {}).get("training")
        planned = training.get("steps") if isinstance(training, dict) else None
        return planned if isinstance(planned, int) else None


def read_runs(directories: Sequence[str], examples: int) -> list[RunRecord]:
    """Reads run directories, each under a name of its own; examples: lines of predictions a task.

    Raises: UserError for a directory that is not there or holds no run; Failure where a disk or a
    store fails.
    """
    stripped = [directory.rstrip("/") or directory for directory in directories]
    for directory in stripped:
        if stripped.count(directory) > 1:
            raise UserError(f"{directory}: given twice; a run is compared with another")
    last = [os.path.basename(os.path.abspath(d) if d in (".", "..") else d) for d in stripped]
    names = [n if last.count(n) == 1 else d for n, d in zip(last, stripped, strict=True)]
    return [_read_run(d, name, examples) for d, name in zip(stripped, names, strict=True)]


def _read_run(directory: str, name: str, examples: int) -> RunRecord:
    present = files.listing(directory)
    notes: list[str] = []
    with files.errors_at(directory):
        rows, damaged = metrics.scan_rows(directory)
    if damaged:
        notes.append(
            f"metrics: {len(damaged)} damaged {'line' if len(damaged) == 1 else 'lines'} skipped "
            f"({', '.join(map(str, damaged[:10]))}{', …' if len(damaged) > 10 else ''})"
        )
    held = {"config.json", "predictions"} & set(present)
    if held == {"config.json"} and not rows and _published(directory, present):
        raise UserError(
            f"{directory}: holds published weights, no run; `t2t eval --workdir={directory}` judges them, "
            "and then there is something to draw"
        )
    if not (rows or held):
        raise UserError(_no_run(directory, present))
    if not rows:
        notes.append("metrics: no row yet")
    saved = _saved(directory, present, notes)
    tasks, averages = _tasks(directory, examples, notes) if "predictions" in present else ([], {})
    return RunRecord(
        directory,
        name,
        saved,
        _curves(rows),
        tuple(tasks),
        averages,
        _table(_text(directory, "model.txt", present)),
        tuple(_text(directory, CLOSING, present).splitlines()),
        tuple(sorted(int(n) for n in files.listing(f"{directory}/checkpoints") if n.isdigit())),
        spent(directory),
        tuple(notes),
    )


def _no_run(directory: str, present: list[str]) -> str:
    if present:
        return f"{directory}: holds no run (no config.json, metrics or predictions)"
    if not files.is_remote(directory):
        folder, name = os.path.split(os.path.expanduser(directory))
        if os.path.isfile(os.path.expanduser(directory)):
            return f"{directory}: is a file; name the run's directory"
        if not os.path.isdir(os.path.expanduser(directory)):
            return f"{directory}: no such directory{nearest(name, files.listing(folder or '.'))}"
    return f"{directory}: is empty; name the --workdir of a run"


def _text(directory: str, name: str, present: list[str]) -> str:
    if name not in present:
        return ""
    return files.read_bytes(f"{directory}/{name}").decode(errors="replace")


def _saved(directory: str, present: list[str], notes: list[str]) -> dict[str, Any]:
    if "config.json" not in present:
        notes.append("config.json is missing: no configuration to show")
        return {}
    if _published(directory, present):
        notes.append("config.json is that of published weights: no configuration of a run to show")
        return {}
    found = _json(_text(directory, "config.json", present))
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        notes.append("config.json is damaged: no configuration to show")
        return {}
    return found


def _published(directory: str, present: list[str]) -> bool:
    """Whether config.json is Hugging Face's; ours has the whole run under one key."""
    found = _json(_text(directory, "config.json", present))
    if not isinstance(found, dict) or "config" in found:
        return False
    return bool({"model_type", "architectures"} & set(found))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _curves(rows: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """Every number of every split by step; of a step written twice the later."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        for key, value in row.items():
            number = None if key in ("step", "split") else _number(value)
            if number is not None:
                found.setdefault((row["split"], key), {})[row["step"]] = number
    return {
        key: (np.array(sorted(by_step)), np.array([by_step[step] for step in sorted(by_step)]))
        for key, by_step in found.items()
    }


def _number(value: Any) -> float | None:
    """A metric's value; one that is not finite was written as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float) or value in ("nan", "inf", "-inf"):
        return float(value)
    return None


def _table(text: str) -> tuple[tuple[str, ...], ...]:
    """The rows of model.txt: columns are two or more spaces apart."""
    return tuple(tuple(re.split(r"\s{2,}", line.strip())) for line in text.splitlines() if line)


# ------------------------------------------------------------------------------------- predictions


def _tasks(
    directory: str, examples: int, notes: list[str]
) -> tuple[list[TaskResult], dict[int, dict[str, float]]]:
    folder = f"{directory}/predictions"
    names = files.listing(folder)
    tasks = [
        _task(f"{folder}/{name}", name, examples, notes)
        for name in names
        if not name.startswith(".")
    ]
    averages = _averages(_json(_text(folder, "scores.json", names)))
    return [task for task in tasks if task is not None], averages


def _averages(scores: Any) -> dict[int, dict[str, float]]:
    """The averages of benchmarks by step, from what `t2t eval` wrote of all tasks together."""
    listed = scores.get("averages") if isinstance(scores, dict) else None
    found: dict[int, dict[str, float]] = {}
    for one in listed if isinstance(listed, list) else []:
        average = _number(one.get("average")) if isinstance(one, dict) else None
        if average is not None and isinstance(one.get("step"), int):
            name = ".".join(filter(None, (str(one.get("suite")), one.get("variant"))))
            found.setdefault(one["step"], {})[name] = average
    return found


def _task(folder: str, name: str, examples: int, notes: list[str]) -> TaskResult | None:
    present = files.listing(folder)
    results = []
    for file in present:
        if not re.fullmatch(r"\d+\.json", file):
            continue
        result = _json(_text(folder, file, present))
        if isinstance(result, dict) and isinstance(result.get("scores"), dict):
            results.append({**result, "step": int(file.removesuffix(".json"))})
        else:
            notes.append(f"predictions/{name}/{file}: damaged, skipped")
    written = [int(f.removesuffix(".jsonl")) for f in present if re.fullmatch(r"\d+\.jsonl", f)]
    if not results and not written:
        return None
    lines: list[dict[str, Any]] = []
    if written:
        file = f"{max(written)}.jsonl"
        lines = _spread(_text(folder, file, present), examples, f"predictions/{name}/{file}", notes)
    return TaskResult(name, tuple(sorted(results, key=lambda r: r["step"])), tuple(lines))


def _spread(text: str, count: int, where: str, notes: list[str]) -> list[dict[str, Any]]:
    """`count` lines spread evenly over a predictions file; only these are parsed."""
    lines = [line for line in text.split("\n") if line.strip()]
    chosen = sorted({int(i) for i in np.linspace(0, len(lines) - 1, min(count, len(lines)))})
    found = [_json(lines[i]) for i in chosen]
    sound = [line for line in found if isinstance(line, dict) and "prediction" in line]
    if len(sound) < len(found):
        notes.append(f"{where}: {len(found) - len(sound)} of {len(found)} lines damaged")
    return sound
