"""What a chart draws, read back from its SVG."""

import math
import re

import numpy as np

from t2t.monitoring.report.chart import SIDE, Chart, draw
from t2t.monitoring.report.series import Series
from tests.html_tree import Node, parsed


def series(steps, values, name="train", run=0, kind=0, **bounds) -> Series:
    return Series(name, run, kind, np.array(steps), np.array(values, float), **bounds)


def drawn(chart: Chart, most: int = 600, several: bool = False) -> Node:
    return parsed(draw(chart, most, several)).one("figure")


def points(figure: Node, curve: str, kind: str = "line", scale: str = "linear"):
    """Returns (step, value) of every point of a curve, from the drawing's own coordinates."""
    area = figure.one("div", scale).one("svg")
    low, high = (float(area.attributes[f"data-{end}"]) for end in ("low", "high"))
    last = int(figure.attributes["data-last"])
    (group,) = (g for g in area.all("g") if curve in g.classes)
    found = []
    for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", group.one("path", kind).attributes["d"]):
        place = 1 - float(y) / SIDE
        value = low * (high / low) ** place if scale == "log" else low + place * (high - low)
        found.append((float(x) * last / SIDE, value))
    return found


def test_the_points_drawn_are_the_metrics_on_both_scales():
    steps = np.arange(10, 310, 10)
    values = 2 + 8 * np.exp(-steps / 60)
    figure = drawn(Chart("Loss", (series(steps, values),), log=True))
    for scale in ("linear", "log"):
        found = points(figure, "c0", scale=scale)
        np.testing.assert_allclose([step for step, _ in found], steps, atol=0.02)
        np.testing.assert_allclose([value for _, value in found], values, rtol=1e-3)


def test_the_legend_holds_the_values_themselves():
    figure = drawn(Chart("Loss", (series([5, 10], [2.3456789, 1.5]),)))
    item = figure.one("li")
    assert item.attributes["data-steps"] == "5 10"
    assert item.attributes["data-values"] == "2.34568 1.5"
    assert "train" in item.text and "1.500" in item.text


def test_a_long_curve_is_thinned_and_its_spike_is_drawn_where_it_was():
    values = np.ones(50_000)
    values[31_415] = 40.0
    figure = drawn(Chart("Gradient norm", (series(np.arange(1, 50_001), values),)), most=200)
    found = points(figure, "c0", "raw")
    assert len(found) <= 202
    step, value = max(found, key=lambda point: point[1])
    assert math.isclose(step, 31_416, abs_tol=3) and math.isclose(value, 40, rel_tol=1e-3)
    assert len(figure.one("li").attributes["data-steps"].split()) <= 202


def test_a_value_that_is_not_finite_interrupts_the_curve_and_is_marked():
    figure = drawn(Chart("Loss", (series([10, 20, 30, 40, 50], [3, 2, np.nan, 2.5, np.inf]),)))
    path = figure.one("path", "line").attributes["d"]
    assert path.count("M") == 2 and path.endswith("h0"), "two pieces, the second a point alone"
    assert [round(step) for step, _ in points(figure, "c0")] == [10, 20, 40]
    assert figure.one("path", "bad").attributes["d"] == "M600 0v60M1000 0v60"
    assert "2 not finite" in figure.one("li").text
    assert figure.one("li").attributes["data-values"] == "3 2 nan 2.5 inf"


def test_marks_of_a_long_failure_reach_from_its_first_step_to_its_last():
    values = np.full(100_000, np.nan)
    values[:50_000] = 1.0
    figure = drawn(Chart("Loss", (series(np.arange(1, 100_001), values),)))
    path = figure.one("path", "bad").attributes["d"]
    assert path.startswith("M500 ") and path.endswith("M1000 0v60") and path.count("M") == 101


def test_a_curve_without_a_finite_value_is_still_a_chart():
    figure = drawn(Chart("Loss", (series([1, 2], [np.nan, np.nan]),), log=True))
    assert points(figure, "c0") == [] and "–" in figure.one("li").text


def test_only_positive_values_have_a_logarithm():
    negative = drawn(Chart("x", (series([1, 2], [-1, 0]),), log=True))
    assert not negative.all("div", "log") and not negative.all("input")
    mixed = drawn(Chart("x", (series([1, 2, 3], [0, 1, 10]),), log=True))
    assert [round(step) for step, _ in points(mixed, "c0", scale="log")] == [2, 3]


def test_a_steep_loss_is_first_shown_by_its_logarithm():
    for values, checked in (([9, 2], True), ([4, 3], False)):
        figure = drawn(Chart("Loss", (series([1, 2], values),), log=True, wide=True))
        assert ("checked" in figure.one("input").attributes) == checked


def test_intervals_are_drawn_round_their_scores():
    chart = Chart(
        "task",
        (series([1, 2], [80, 90], low=np.array([78, np.nan]), high=np.array([83, np.nan])),),
    )
    figure = drawn(chart)
    area = figure.one("svg")
    low, high = (float(area.attributes[f"data-{end}"]) for end in ("low", "high"))
    found = re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", figure.one("path", "band").attributes["d"])
    (whisker,) = [[float(number) for number in one] for one in found]
    ends = [low + (1 - y / SIDE) * (high - low) for y in whisker[1:]]
    np.testing.assert_allclose([whisker[0], *ends], [500, 78, 83], rtol=1e-3)


def test_runs_have_colours_and_their_curves_have_line_styles():
    curves = tuple(
        series([1, 2], [run, kind], f"{run}/{kind}", run, kind) for run in (0, 1) for kind in (0, 1)
    )
    together = [g.classes for g in drawn(Chart("Loss", curves), several=True).all("g")]
    assert together == [
        ["run-0", "c0", "k0"],
        ["run-0", "c0", "k1"],
        ["run-1", "c1", "k0"],
        ["run-1", "c1", "k1"],
    ]
    alone = [g.classes for g in drawn(Chart("Loss", curves[:2])).all("g")]
    assert alone == [["run-0", "c0", "k0"], ["run-0", "c1", "k0"]]
