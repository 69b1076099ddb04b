"""A curve: values by step, thinned without losing an extreme, and smoothed."""

import dataclasses

import numpy as np

FEWEST_SMOOTHED = 40  # rows; a shorter curve is read as it is


@dataclasses.dataclass(frozen=True)
class Series:
    """Values of one run by step, [N] each; low and high bound an interval round each value.

    name: in the legend. run: which of the runs compared. kind: which of that run's curves in the
    chart.
    """

    name: str
    run: int
    kind: int
    steps: np.ndarray
    values: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def kept(values: np.ndarray, most: int) -> np.ndarray:
    """Returns at most about `most` indices, ascending, that show the curve as all would.

    Each of most / 2 stretches keeps its lowest and its highest value, so that no spike is lost at
    any length; the first and the last stay; a stretch without a finite value keeps one, a gap.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    edges = np.linspace(0, count, max(most // 2, 1) + 1).astype(int)
    chosen = {0, count - 1}
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        part = values[first:last]
        finite = np.flatnonzero(np.isfinite(part))
        if len(finite):
            chosen.add(first + int(finite[np.argmin(part[finite])]))
            chosen.add(first + int(finite[np.argmax(part[finite])]))
        else:
            chosen.add(int(first))
    return np.array(sorted(chosen))


def window(count: int) -> int:
    """Returns over how many rows a curve of `count` is smoothed (1: not at all)."""
    return 1 if count < FEWEST_SMOOTHED else max(count // 50, 2) * 2 + 1


def smoothed(values: np.ndarray) -> np.ndarray:
    """Returns the mean of each value's neighbourhood, which shrinks to a third towards both ends.

    A centred mean does not lag behind the curve, as an exponential one does. What is not finite is
    left out of every mean, and stays as it is.
    """
    count = len(values)
    place = np.arange(count)
    half = window(count) // 2
    half = np.maximum(np.minimum(half, np.minimum(place, count - 1 - place)), half // 3)
    first, past = np.maximum(place - half, 0), np.minimum(place + half + 1, count)
    finite = np.isfinite(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(finite, values, 0.0))))
    counts = np.concatenate(([0], np.cumsum(finite)))
    mean = (sums[past] - sums[first]) / np.maximum(counts[past] - counts[first], 1)
    return np.where(finite, mean, values)
