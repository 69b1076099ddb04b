"""Which charts a report has: the metrics of train and evaluation, and task scores, by subject."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from t2t.monitoring.report.chart import Chart
from t2t.monitoring.report.record import RunRecord, TaskResult
from t2t.monitoring.report.series import Series

TRAIN = "train"
# A chart without its curves, and its metrics: what each is called where one split has several.
LEARNING = (
    (Chart("Loss", (), "nat a target token", log=True, wide=True), {"loss": ""}),
    (Chart("Accuracy", (), "share of target tokens"), {"accuracy": ""}),
    (Chart("z-loss", (), log=True), {"z_loss": ""}),
)
OPTIMISATION = (
    (Chart("Learning rate", (), log=True, zero=True), {"learning_rate": ""}),
    (Chart("Gradient norm", (), log=True), {"grad_norm": ""}),
    (Chart("Update norm", (), log=True), {"update_norm": ""}),
    (Chart("Parameter norm", ()), {"param_norm": ""}),
)
SPEED = (
    (Chart("Throughput", (), "tokens a second", zero=True), {"tokens_per_second": ""}),
    (
        Chart("Time a step", (), "seconds", zero=True),
        {"step_seconds": "whole step", "data_wait_seconds": "waiting for data"},
    ),
    (Chart("FLOPs used", (), "share of the device's peak", zero=True), {"mfu": ""}),
)
UNDRAWN = ("weight", "skipped")  # how much was scored; counted in the overview


def sections(runs: Sequence[RunRecord]) -> list[tuple[str, list[Chart]]]:
    """Returns (heading, charts) in reading order; what has no data is left out."""
    groups = [
        ("Learning", _filled(LEARNING, runs)),
        ("Task scores", _scores(runs)),
        ("Optimisation", _filled(OPTIMISATION, runs)),
        ("Speed", _filled(SPEED, runs)),
        ("Further metrics", _further(runs)),
    ]
    filled = [(name, [chart for chart in charts if chart.series]) for name, charts in groups]
    return [(name, charts) for name, charts in filled if charts]


def _filled(group, runs: Sequence[RunRecord]) -> list[Chart]:
    return [_with_series(chart, metrics, runs) for chart, metrics in group]


def _with_series(chart: Chart, metrics: dict[str, str], runs: Sequence[RunRecord]) -> Chart:
    """The chart with a curve for every split, metric and run that has one; train comes first."""
    places = {key for run in runs for key in run.curves if key[1] in metrics}
    order = list(metrics)
    kinds = sorted(places, key=lambda p: (p[0] != TRAIN, p[0], order.index(p[1])))
    series = []
    for number, run in enumerate(runs):
        for kind, (split, metric) in enumerate(kinds):
            if (split, metric) not in run.curves:
                continue
            name = metrics[metric] or split.removeprefix("eval/")
            if len(runs) > 1:
                name = f"{run.name} · {name}" if len(kinds) > 1 else run.name
            steps, values = run.curves[split, metric]
            series.append(Series(name, number, kind, steps, values))
    return dataclasses.replace(chart, series=tuple(series))


def _further(runs: Sequence[RunRecord]) -> list[Chart]:
    """A chart for every metric that no other chart shows."""
    groups = (*LEARNING, *OPTIMISATION, *SPEED)
    shown = {metric for _, metrics in groups for metric in metrics} | set(UNDRAWN)
    found = {metric: None for run in runs for _, metric in run.curves if metric not in shown}
    return [_with_series(Chart(metric, ()), {metric: ""}, runs) for metric in sorted(found)]


def _scores(runs: Sequence[RunRecord]) -> list[Chart]:
    """A chart for every task and metric that some run has at several steps."""
    found: dict[tuple[str, str], list[Series]] = {}
    for number, run in enumerate(runs):
        for task in run.tasks:
            for metric in metrics_of(task):
                name = run.name if len(runs) > 1 else metric
                found.setdefault((task.name, metric), []).append(
                    _score_series(task, metric, name, number)
                )
    charts = [Chart(task, tuple(series), metric) for (task, metric), series in found.items()]
    return [chart for chart in charts if any(len(s.steps) > 1 for s in chart.series)]


def metrics_of(task: TaskResult) -> list[str]:
    """Returns the names of a task's scores, in their order."""
    return list({metric: None for result in task.results for metric in result["scores"]})


def _score_series(task: TaskResult, metric: str, name: str, run: int) -> Series:
    results = [result for result in task.results if score(result, metric) is not None]
    bounds = np.array([interval(result, metric) for result in results]).reshape(-1, 2)
    return Series(
        name,
        run,
        0,
        np.array([result["step"] for result in results], int),
        np.array([score(result, metric) for result in results], float),
        bounds[:, 0],
        bounds[:, 1],
    )


def score(result: dict, metric: str) -> float | None:
    """Returns a result's score; None where it is undefined or not there."""
    value = result["scores"].get(metric)
    return value if isinstance(value, int | float) else None


def interval(result: dict, metric: str) -> tuple[float, float]:
    """Returns a score's confidence interval; NaN where there is none."""
    bounds = (result.get("intervals") or {}).get(metric) or (None, None)
    low, high = (b if isinstance(b, int | float) else float("nan") for b in bounds)
    return low, high
