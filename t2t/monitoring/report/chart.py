"""A chart: curves over steps as SVG, readable without a script.

The drawing stretches to any width (its lines do not), so every text is HTML beside it: as legible
on a phone as on paper. Both scales are drawn; a checkbox shows one or the other. Values stand once,
in the legend, from where script.js reads them to show what is under the pointer.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from t2t.monitoring.report import scale as scales
from t2t.monitoring.report.markup import Html, element, join
from t2t.monitoring.report.scale import Scale
from t2t.monitoring.report.series import Series, kept, smoothed, window

SIDE = 1000  # of the drawing, both ways
DOTTED = 40  # a curve of at most so many points shows each of them
KINDS = 4  # line styles, see style.css
MARK = 5  # marks of values that are not finite are so far apart
STEEP = 3.0  # a curve that falls to less than a third is first shown by its logarithm


@dataclasses.dataclass(frozen=True)
class Chart:
    """What to draw: title, unit beside it, curves; log offers that scale, zero starts at 0."""

    title: str
    series: tuple[Series, ...]
    unit: str = ""
    log: bool = False
    zero: bool = False
    wide: bool = False


def draw(chart: Chart, most: int, several: bool) -> Html:
    """Returns a figure. most: points a curve. several: colour tells runs apart, else curves."""
    last = max((int(s.steps[-1]) for s in chart.series if len(s.steps)), default=1) or 1
    spanned = [s.values for s in chart.series]
    spanned += [b for s in chart.series for b in (s.low, s.high) if b is not None]
    values = np.concatenate([np.zeros(0), *spanned])
    chosen = [_Curve(s, kept(s.values, most), _colours(s, several)) for s in chart.series]
    linear = scales.linear(values, chart.zero)
    log = scales.logarithmic(values) if chart.log else None
    scaled = [_scaled(linear, "linear", chosen, last)]
    if log is not None:
        scaled.append(_scaled(log, "log", chosen, last))
    ticks = [
        element("span", scales.short(tick), class_="x", style=f"left:{100 * tick / last:.2f}%")
        for tick in scales.step_ticks(last)
    ]
    steep = log is not None and log.high > STEEP * log.low
    box = element("input", type="checkbox", class_="to-log", checked=steep and chart.wide)
    toggle = element("label", box, "log")
    spoken = "; ".join(f"{s.name}: {_spoken(s)}" for s in chart.series)
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", chart.title, element("small", chart.unit) if chart.unit else ""),
            element("span", class_="at"),
            toggle if log is not None else "",
        ),
        element("ul", [_legend(curve) for curve in chosen], class_="legend"),
        element(
            "div",
            scaled,
            ticks,
            element("span", class_="cross"),
            class_="plot",
            tabindex=0,
            role="img",
            aria_label=f"{chart.title} over steps. {spoken}",
        ),
        class_="chart wide" if chart.wide else "chart",
        data_last=last,
    )


@dataclasses.dataclass(frozen=True)
class _Curve:
    series: Series
    indices: np.ndarray  # of what is drawn
    classes: str


def _colours(series: Series, several: bool) -> str:
    colour, kind = (series.run, series.kind % KINDS) if several else (series.kind, 0)
    return f"run-{series.run} c{colour % 10} k{kind}"


def _legend(curve: _Curve) -> Html:
    series, indices = curve.series, curve.indices
    finite = series.values[np.isfinite(series.values)]
    bad = len(series.values) - len(finite)
    return element(
        "li",
        element("i"),
        element("span", series.name),
        element("b", scales.number(float(finite[-1])) if len(finite) else "–"),
        element("em", f"{bad:,} not finite") if bad else "",
        class_=curve.classes,
        data_steps=" ".join(str(int(step)) for step in series.steps[indices]),
        data_values=" ".join(f"{value:.6g}" for value in series.values[indices]),
    )


def _spoken(series: Series) -> str:
    finite = np.flatnonzero(np.isfinite(series.values))
    if not len(finite):
        return "no finite value"
    first, last = finite[0], finite[-1]
    return (
        f"{scales.number(series.values[first])} at step {series.steps[first]}, "
        f"{scales.number(series.values[last])} at step {series.steps[last]}"
    )


def _scaled(scale: Scale, name: str, curves: Sequence[_Curve], last: int) -> Html:
    ticks = [(tick, float(scale.place(np.float64(tick)))) for tick in scale.ticks()]
    labels = [
        element("span", scales.short(tick), class_="y", style=f"top:{100 * (1 - place):.2f}%")
        for tick, place in ticks
    ]
    grid = "".join(f"M0 {SIDE * (1 - place):.1f}H{SIDE}" for _, place in ticks)
    return element(
        "div",
        labels,
        element(
            "svg",
            element("path", class_="grid", d=grid),
            [_lines(curve, scale, last) for curve in curves],
            viewBox=f"0 0 {SIDE} {SIDE}",
            preserveAspectRatio="none",
            aria_hidden="true",
            data_low=repr(scale.low),
            data_high=repr(scale.high),
        ),
        class_=f"scale {name}",
    )


def _lines(curve: _Curve, scale: Scale, last: int) -> Html:
    series, indices = curve.series, curve.indices
    values = np.where(np.isfinite(series.values), series.values, np.nan)
    x = SIDE * series.steps / last

    def y(of: np.ndarray) -> np.ndarray:
        positive = np.where(of > 0, of, np.nan) if scale.log else of
        return SIDE * (1 - scale.place(positive))

    place = y(values)
    smooth = window(len(values)) > 1
    parts = [element("path", class_="raw" if smooth else "line", d=_path(x, place, indices))]
    if smooth:
        parts.append(
            element("path", class_="line smooth", d=_path(x, y(smoothed(values)), indices))
        )
    if len(values) <= DOTTED:
        drawn = np.isfinite(place)
        dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[drawn], place[drawn], strict=True))
        parts.append(element("path", class_="dots", d=dots))
    if series.low is not None and series.high is not None:
        parts.insert(
            0, element("path", class_="band", d=_whiskers(x, y(series.low), y(series.high)))
        )
    bad = x[~np.isfinite(series.values)]
    if len(bad):
        marks = sorted({round(float(a) / MARK) * MARK for a in bad})
        drawn = "".join(f"M{mark} 0v60" for mark in marks)
        parts.append(element("path", class_="bad", d=drawn))
    return element("g", join(*parts), class_=curve.classes)


def _path(x: np.ndarray, y: np.ndarray, indices: np.ndarray) -> str:
    """Returns the points at `indices` as an SVG path, interrupted where a value is not finite."""
    pieces: list[list[str]] = [[]]
    for a, b in zip(x[indices], y[indices], strict=True):
        if np.isfinite(b):
            pieces[-1].append(f"{a:.1f} {b:.1f}")
        elif pieces[-1]:
            pieces.append([])
    # A point alone is a line of no length, which round ends make a dot.
    return "".join(f"M{'L'.join(p)}" if len(p) > 1 else f"M{p[0]}h0" for p in pieces if p)


def _whiskers(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    found = zip(x, low, high, strict=True)
    return "".join(
        f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in found if np.isfinite(b) and np.isfinite(c)
    )
