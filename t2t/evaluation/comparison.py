"""Two sets of predictions of the same examples: is the difference more than chance?"""

from collections.abc import Sequence
from typing import NamedTuple

from t2t.errors import UserError
from t2t.evaluation.judgement import Line, Result, judged
from t2t.evaluation.metrics.catalog import metric
from t2t.evaluation.predictions import FOLDER, newest, read_lines, results
from t2t.evaluation.resampling import Difference, paired_test


class Judgement(NamedTuple):
    """A run, and the step whose predictions are meant: None is the newest judged of each task."""

    workdir: str
    step: int | None = None


def names_in_both(first: Judgement, second: Judgement) -> list[str]:
    """The names under which both have predictions with scores. Raises UserError where none is."""
    known = [
        {r["name"] for r in results(one.workdir) if r["scores"] and one.step in (None, r["step"])}
        for one in (first, second)
    ]
    found = sorted(known[0] & known[1])
    if not found:
        told = [
            f"{one.workdir}: {', '.join(sorted(k)) or 'nothing'}"
            for one, k in zip((first, second), known, strict=True)
        ]
        raise UserError(f"no task was judged in both ({'; '.join(told)}); run t2t eval there first")
    return found


def compare(
    first: Judgement, second: Judgement, names: Sequence[str], resamples: int
) -> list[tuple[str, int, dict[str, Difference]]]:
    """Tests predictions of two runs, or of two steps of one: (name, examples, {score: difference}).

    names: as the predictions are kept under, TASK[.SPLIT][.VARIANT].
    Raises UserError where a run has none, or they are not of the same examples.
    """
    found = []
    for name in names:
        one, other = (newest(side.workdir, name, side.step) for side in (first, second))
        lines = lines_of(first, one), lines_of(second, other)
        check_same(name, first, second, *lines)
        if not one["scores"]:
            raise UserError(f"{name}: the split {one['split']!r} has no labels")
        differences: dict[str, Difference] = {}
        for own in one["metrics"]:
            of = metric(own, name)
            rows = [of.rows(judged(side)) for side in lines]
            differences |= paired_test(of, *rows, resamples)
        found.append((name, len(lines[0]), differences))
    return found


def lines_of(side: Judgement, result: Result) -> list[Line]:
    """The lines that a result is of."""
    return read_lines(f"{side.workdir}/{FOLDER}/{result['name']}/{result['step']}.jsonl")


def check_same(
    name: str, first: Judgement, second: Judgement, one: Sequence[Line], other: Sequence[Line]
) -> None:
    """Raises UserError where two were judged on different examples. Prompts may differ (another
    number of shots); what is judged may not."""
    if len(one) != len(other):
        where = f"{len(one)} examples in {first.workdir}, {len(other)} in {second.workdir}"
    else:
        places = (
            i
            for i, (a, b) in enumerate(zip(one, other, strict=True))
            if (a["truth"], a["target"], a["id"]) != (b["truth"], b["target"], b["id"])
        )
        place = next(places, None)
        if place is None:
            return
        where = f"example {place} is another in {second.workdir} than in {first.workdir}"
    raise UserError(f"{name}: {where}; judge both on the same --data, --split and --limit")
