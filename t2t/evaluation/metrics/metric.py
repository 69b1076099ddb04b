"""What a metric is: facts of every example, and scores of any collection of such facts.

Splitting it so makes one definition serve the score itself, bootstrap intervals (the same scores of
rows drawn again) and paired tests (rows exchanged between two systems).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from t2t.errors import UserError


class Judged(NamedTuple):
    """A prediction beside the truth."""

    truth: Any  # a label's number, a number, a text, or a tuple of right answers
    value: Any  # the prediction as the task read it; None where it is no valid answer
    group: tuple = ()  # examples judged together
    classes: int = 0  # how many choices there are; 0 where anything may be written
    target: str = ""
    log_likelihood: float | None = None  # of the target, in nats
    tokens: int = 0  # of the target, end of sequence included


class Metric(NamedTuple):
    """rows(judged) -> [N, K], one row what is drawn and exchanged as a whole; scores(rows) ->
    {name: score}, percentages where T5's are.

    names: of the scores, as fnmatch patterns. packages: of the `eval` extra, that it imports.
    likelihood: it judges log-likelihoods of targets. lower: less is better.
    """

    rows: Callable[[Sequence[Judged]], np.ndarray]
    scores: Callable[[np.ndarray], dict[str, float]]
    names: tuple[str, ...]
    packages: tuple[str, ...] = ()
    likelihood: bool = False
    lower: bool = False


def answers(truth) -> tuple:
    """All right answers of an example."""
    return tuple(truth) if isinstance(truth, tuple | list) else (truth,)


def texts(truth) -> tuple[str, ...]:
    """All right answers of an example, which must be texts. Raises UserError where they are not."""
    found = answers(truth)
    if any(isinstance(one, int | np.integer) for one in found):
        raise UserError("this metric judges texts; the task has `choices`")
    if not all(isinstance(one, str) for one in found):
        raise UserError("this metric judges texts; the task is `numeric`")
    return found


def groups(judged: Sequence[Judged]) -> dict[tuple, list[Judged]]:
    """The examples of each group, in order; an example of none is a group of its own."""
    found: dict[tuple, list[Judged]] = {}
    for number, one in enumerate(judged):
        found.setdefault(one.group or ("alone", number), []).append(one)
    return found


def pair_counts(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(truths, predictions, how often) of the different pairs [truth, prediction, ...] in rows."""
    truths, values = rows[:, 0].astype(int), rows[:, 1].astype(int)
    low, width = values.min(), np.ptp(values) + 1
    codes, counts = np.unique((truths * width) + values - low, return_counts=True)
    return codes // width, codes % width + low, counts


def label_pairs(judged: Sequence[Judged], invalid: int = -1) -> np.ndarray:
    """Rows [truth, prediction] of label numbers, invalid predictions as `invalid`."""
    if any(not isinstance(one.truth, int | np.integer) for one in judged):
        raise UserError("this metric judges labels; the task has no `choices`")
    return np.array(
        [[one.truth, invalid if one.value is None else one.value] for one in judged], np.int64
    )
