"""Results as tables: on a screen, and as JSON, CSV and Markdown beside the predictions."""

import csv
import io
import json
from collections.abc import Sequence

from t2t.data import files
from t2t.evaluation.averages import averages
from t2t.evaluation.judgement import Result
from t2t.evaluation.predictions import FOLDER
from t2t.evaluation.resampling import Difference
from t2t.tasks.catalog import TASKS

HEADER = ("task", "step", "metric", "score", "low", "high", "examples", "invalid", "hash")
COMPARED = ("task", "metric", "first", "second", "difference", "p", "examples")


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """A row a score, below them the averages of each step whose tasks are all there."""
    found = []
    for result in results:
        common = (str(result["examples"]), str(result["invalid"]), result["identity"])
        place = (result["name"], str(result["step"]))
        for name, score in result["scores"].items():
            bounds = result["intervals"].get(name, (None, None))
            found.append((*place, name, _number(score), *map(_number, bounds), *common))
        if not result["scores"]:
            found.append((*place, "(no labels)", "", "", "", *common))
    for one in suite_averages(results):
        name = ".".join(filter(None, (one["suite"], one["variant"])))
        found.append((name, str(one["step"]), "average", _number(one["average"]), *[""] * 5))
    return found


def suite_averages(results: Sequence[Result]) -> list[dict]:
    """The averages of benchmarks whose usual splits were judged whole: {suite, step, variant,
    average} each."""
    groups: dict[tuple[int, str], dict] = {}
    for result in results:
        task = TASKS.get(result["task"])
        if task is not None and result["split"] == task.judged and "limit" not in result["variant"]:
            defined = {k: v for k, v in result["scores"].items() if v is not None}
            groups.setdefault((result["step"], result["variant"]), {})[task.name] = defined
    return [
        {"suite": suite, "step": step, "variant": variant, "average": average}
        for (step, variant), scores in sorted(groups.items())
        for suite, average in averages(scores).items()
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def screen(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """The table as aligned lines."""
    table = [header, *body]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """The table as Markdown."""
    table = [header, ["---"] * len(header), *body]
    return "".join(f"| {' | '.join(row)} |\n" for row in table)


def write(workdir: str, results: Sequence[Result]) -> None:
    """Writes `predictions/scores.{json,csv,md}`, each whole or not at all."""
    body = rows(results)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *body])
    content = {"results": list(results), "averages": suite_averages(results)}
    base = f"{workdir}/{FOLDER}/scores"
    files.write_bytes(f"{base}.json", (json.dumps(content, indent=1) + "\n").encode())
    files.write_bytes(f"{base}.csv", text.getvalue().encode())
    files.write_bytes(f"{base}.md", markdown(HEADER, body).encode())


def compared_rows(found: Sequence[tuple[str, int, dict[str, Difference]]]) -> list[tuple[str, ...]]:
    """Rows of a comparison: (task, examples, {metric: difference})."""
    return [
        (
            name,
            metric,
            f"{d.first:.2f}",
            f"{d.second:.2f}",
            f"{d.second - d.first:+.2f}",
            f"{d.p_value:.4f}",
            str(count),
        )
        for name, count, differences in found
        for metric, d in differences.items()
    ]
