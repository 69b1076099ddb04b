"""The figures of a run at a glance: how far, how good, how fast, how large."""

from collections.abc import Sequence

import numpy as np

from t2t.monitoring.progress import duration
from t2t.monitoring.report import scale
from t2t.monitoring.report.curves import TRAIN
from t2t.monitoring.report.markup import Html, element, join
from t2t.monitoring.report.record import RunRecord


def status(run: RunRecord) -> Html:
    """Returns a badge: finished, or how far the run is."""
    if run.planned is None or not run.curves:
        return element("span", f"step {run.steps:,}" if run.curves else "no rows", class_="badge")
    if run.steps >= run.planned:
        return element("span", "finished", class_="badge good")
    return element("span", f"step {run.steps:,} of {run.planned:,}", class_="badge open")


def facts(run: RunRecord) -> dict[str, tuple[str, str]]:
    """Returns {what: (value, remark)} in reading order; what the run has no rows of is left out."""
    found = {"steps": (f"{run.steps:,}", f"of {run.planned:,}" if run.planned else "")}
    loss = _finite(run, TRAIN, "loss")
    if len(loss):
        recent = loss[-max(len(loss) // 20, 1) :]
        remark = f"mean of the last {len(recent)} rows" if len(recent) > 1 else "last row"
        found["training loss"] = (scale.number(recent.mean()), remark)
    for split, metric in run.curves:
        if split != TRAIN and metric == "loss" and len(values := _finite(run, split, "loss")):
            steps, losses = run.curves[split, "loss"]
            best = int(steps[losses == values.min()][0])
            remark = f"best {scale.number(values.min())} at step {best:,}"
            found[f"{split.removeprefix('eval/')} loss"] = (scale.number(values[-1]), remark)
    found |= _speed(run)
    if run.parameters and run.parameters[-1][0] == "total" and len(run.parameters[-1]) > 2:
        count = run.parameters[-1][1]
        if count.replace(",", "").isdigit():
            shown = scale.short(float(f"{float(count.replace(',', '')):.3g}"))
            found["parameters"] = (shown, count)
    if run.checkpoints:
        found["newest checkpoint"] = (f"{run.checkpoints[-1]:,}", f"{len(run.checkpoints)} kept")
    if run.spent is not None:
        starts = f"{run.spent.starts} start{'s' if run.spent.starts > 1 else ''}"
        found["goodput"] = (f"{run.spent.goodput:.1%}", f"of {duration(run.spent.wall)}, {starts}")
    skipped = _finite(run, TRAIN, "skipped").sum()
    if skipped:
        found["skipped updates"] = (f"{skipped:,.0f}", "among the rows written")
    return found


def _speed(run: RunRecord) -> dict[str, tuple[str, str]]:
    found = {}
    rate = _finite(run, TRAIN, "tokens_per_second")
    if len(rate):
        found["tokens a second"] = (f"{np.median(rate):,.0f}", "median of the rows")
    if (TRAIN, "step_seconds") in run.curves:
        steps, seconds = run.curves[TRAIN, "step_seconds"]
        spent = np.nansum(seconds * np.diff(steps, prepend=0))
        found["time in steps"] = (duration(spent), "without evaluation and saving")
        if (TRAIN, "data_wait_seconds") in run.curves:
            waits, wait = run.curves[TRAIN, "data_wait_seconds"]
            share = np.nansum(wait * np.diff(waits, prepend=0)) / max(spent, 1e-9)
            found["waiting for data"] = (f"{share:.1%}", "of that time")
    used = _finite(run, TRAIN, "mfu")
    if len(used):
        found["FLOPs used"] = (f"{np.median(used):.1%}", "of the device's peak, median")
    return found


def _finite(run: RunRecord, split: str, metric: str) -> np.ndarray:
    values = run.curves.get((split, metric), (None, np.zeros(0)))[1]
    return values[np.isfinite(values)]


def overview(runs: Sequence[RunRecord]) -> Html:
    """Returns tiles of one run, or a table with a line a run; below, where the time of each went."""
    found = [facts(run) for run in runs]
    if len(runs) == 1:
        tiles = [
            element("div", element("dt", what), element("dd", value, element("small", remark)))
            for what, (value, remark) in found[0].items()
        ]
        return join(element("dl", tiles, class_="tiles"), *_time(runs))
    columns = list({what: None for one in found for what in one})
    head = element("tr", element("th", "run"), [element("th", c, class_="n") for c in columns])
    lines = []
    for number, (run, one) in enumerate(zip(runs, found, strict=True)):
        box = element("input", type="checkbox", id=f"show-{number}", checked=True)
        named = element("label", box, element("i"), run.name, class_=f"c{number % 10}")
        cells = [
            element(
                "td", one.get(c, ("–", ""))[0], class_="n", title=one.get(c, ("", ""))[1] or None
            )
            for c in columns
        ]
        lines.append(element("tr", element("th", named, " ", status(run)), cells))
    table = element("table", head, join(*lines), class_="runs")
    return join(element("div", table, class_="scroll"), *_time(runs))


def _time(runs: Sequence[RunRecord]) -> list[Html]:
    """A line of each run that has noted it: its goodput, and where the rest of its time went."""
    return [
        element("p", f"{run.name}: " if len(runs) > 1 else "", run.spent.describe(), class_="spent")
        for run in runs
        if run.spent is not None
    ]
