"""Tables: task scores, configuration, parameters, hardware and versions."""

import json
from collections.abc import Sequence
from typing import Any

from t2t.monitoring.report.curves import interval, metrics_of, score
from t2t.monitoring.report.markup import Html, element
from t2t.monitoring.report.record import RunRecord, TaskResult


def task_scores(runs: Sequence[RunRecord]) -> Html | None:
    """Returns each task's newest scores with their intervals, a column a run; averages below."""
    names = sorted({task.name for run in runs for task in run.tasks if task.results})
    averages = sorted({name for run in runs for found in run.averages.values() for name in found})
    if not names:
        return None
    lines = []
    for name in names:
        tasks = [_task(run, name) for run in runs]
        metrics = list({m: None for task in tasks if task for m in metrics_of(task)})
        for place, metric in enumerate(metrics or [""]):
            first = element("th", name, rowspan=len(metrics) or 1) if place == 0 else ""
            cells = [_score(task, metric) for task in tasks]
            lines.append(element("tr", first, element("td", metric or "no labels"), cells))
    for name in averages:
        cells = [_average(run, name) for run in runs]
        lines.append(element("tr", element("th", name), element("td", "average"), cells))
    columns = [run.name for run in runs] if len(runs) > 1 else ["score"]
    head = [element("th", "task"), element("th", "metric")]
    head += [element("th", column, class_="n") for column in columns]
    return element(
        "div", element("table", element("tr", head), lines, class_="scores"), class_="scroll"
    )


def _task(run: RunRecord, name: str) -> TaskResult | None:
    return next((task for task in run.tasks if task.name == name and task.results), None)


def _score(task: TaskResult | None, metric: str) -> Html:
    if task is None:
        return element("td", "–", class_="n")
    result = task.results[-1]
    value, (low, high) = score(result, metric), interval(result, metric)
    bounds = f"[{low:.2f}, {high:.2f}]" if low == low and high == high else ""
    remark = f"step {result['step']:,}"
    if isinstance(result.get("examples"), int):
        remark += f", {result['examples']:,} examples"
    if result.get("invalid"):
        remark += f", {result['invalid']} invalid"
    shown = "–" if value is None else f"{value:.2f}"
    return element(
        "td", element("b", shown), " ", bounds, element("small", remark), class_="n", dir="ltr"
    )


def _average(run: RunRecord, name: str) -> Html:
    steps = [step for step, found in run.averages.items() if name in found]
    if not steps:
        return element("td", "–", class_="n")
    value, remark = run.averages[max(steps)][name], f"step {max(steps):,}"
    return element("td", element("b", f"{value:.2f}"), element("small", remark), class_="n")


# --------------------------------------------------------------------------- configuration, facts


def flat(value: Any, path: str = "") -> dict[str, str]:
    """Returns {dotted path: value as text} of nested objects; `class` stands at the object itself."""
    if isinstance(value, dict) and value:
        found = {}
        for key, inner in value.items():
            found |= flat(inner, path if key == "class" else f"{path}.{key}".lstrip("."))
        return found
    if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        found = {}
        for number, inner in enumerate(value):
            found |= flat(inner, f"{path}[{number}]")
        return found
    if value is None:
        return {path: "none"}
    return {path: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}


def settings(runs: Sequence[RunRecord]) -> list[tuple[str, Html, bool]]:
    """Returns (heading, table, shown open) of the configurations, first how they differ."""
    configs = [flat(run.saved.get("config", {})) for run in runs]
    keys = [key for key in dict.fromkeys(k for c in configs for k in c) if key]
    found = []
    if len(runs) > 1:
        differing = [key for key in keys if len({c.get(key) for c in configs}) > 1]
        table = _compared(differing, configs, runs) if differing else element("p", "nothing")
        found.append(("what differs", table, True))
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(key.partition(".")[0].partition("[")[0], []).append(key)
    return found + [(g, _compared(own, configs, runs), False) for g, own in groups.items()]


def surroundings(runs: Sequence[RunRecord]) -> list[tuple[str, Html]]:
    """Returns (heading, table) of hardware and versions, where they were recorded."""
    found = []
    for heading in ("hardware", "versions"):
        records = [flat(run.saved.get(heading, {})) for run in runs]
        keys = [key for key in dict.fromkeys(k for r in records for k in r) if key]
        if keys:
            found.append((heading, _compared(keys, records, runs)))
    return found


def _compared(keys: Sequence[str], columns: Sequence[dict[str, str]], runs) -> Html:
    """A line a key, a column a run; lines that differ are marked."""
    head = [element("th", ""), *(element("th", run.name) for run in runs)]
    lines = [element("tr", head)] if len(runs) > 1 else []
    for key in keys:
        differs = len({column.get(key) for column in columns}) > 1
        cells = [element("td", column.get(key, "–")) for column in columns]
        lines.append(
            element("tr", element("th", key), cells, class_="differs" if differs else None)
        )
    return element("div", element("table", lines, class_="settings"), class_="scroll")


def parameters(run: RunRecord) -> Html | None:
    """Returns model.txt as a table, with each parameter's share of the whole as a bar."""
    if len(run.parameters) < 3 or len(run.parameters[-1]) != 3:
        return None
    header, *body, (_, total, size) = run.parameters
    if any(len(row) != len(header) for row in body):
        return None
    head = element(
        "tr", [element("th", c, class_="n" if c in ("count", "bytes") else None) for c in header]
    )
    whole = _count(total) or 1
    lines = []
    for name, *middle, count, held in body:
        share = 100 * _count(count) / whole
        bar = element("i", class_="share", style=f"width:{share:.1f}%")
        lines.append(
            element(
                "tr",
                element("th", name),
                [element("td", cell) for cell in middle],
                element("td", bar, element("span", count), class_="n", title=f"{share:.1f} %"),
                element("td", held, class_="n"),
            )
        )
    empty = element("td", "", colspan=len(header) - 3)
    sums = [element("td", element("b", cell), class_="n") for cell in (total, size)]
    lines.append(element("tr", element("th", "total"), empty, sums))
    return element("div", element("table", head, lines, class_="parameters"), class_="scroll")


def _count(text: str) -> int:
    digits = text.replace(",", "")
    return int(digits) if digits.isdigit() else 0
