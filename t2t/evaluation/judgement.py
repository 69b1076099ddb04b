"""From what was written to scores: the lines of a predictions file, read and judged."""

import math
from collections.abc import Sequence
from typing import Any

from t2t.decoding.scoring import Scored
from t2t.evaluation.metrics.metric import Judged
from t2t.evaluation.prepared import Prepared
from t2t.evaluation.resampling import intervals

Line = dict[str, Any]  # of a predictions file
Result = dict[str, Any]  # of the scores beside it


def line(
    prepared: Prepared, index: int, text: str, own: float | None, likelihood: Scored | None
) -> Line:
    """What is kept of an example: `text` was written, with the log-probability `own`."""
    example = prepared.examples[index]
    scores = {} if own is None else {"log_probability": own}
    if likelihood is not None:
        scores["target_log_likelihood"] = likelihood.score
        scores["target_tokens"] = len(likelihood.log_probabilities)
    return {
        "index": index,
        "id": example.id,
        "input": example.input,
        "target": example.target,
        "prediction": text,
        "truth": example.truth,
        "value": prepared.read(text, example) if prepared.written else None,
        "group": example.group,
        "classes": len(example.choices),
        "scores": scores,
    }


def judged(lines: Sequence[Line]) -> list[Judged]:
    """The lines of a predictions file as metrics take them."""
    return [
        Judged(
            truth=tuple(one["truth"]) if isinstance(one["truth"], list) else one["truth"],
            value=one["value"],
            group=tuple(one["group"]),
            classes=one["classes"],
            target=one["target"],
            log_likelihood=one["scores"].get("target_log_likelihood"),
            tokens=one["scores"].get("target_tokens", 0),
        )
        for one in lines
    ]


def judge(prepared: Prepared, lines: Sequence[Line], resamples: int) -> Result:
    """The scores of all lines of a task, in order; without labels there are none.

    invalid counts the predictions that are no valid answer; intervals holds [low, high] by score;
    what is undefined is None.
    """
    scores: dict[str, float | None] = {}
    bounds: dict[str, list[float | None]] = {}
    if prepared.labelled:
        found = judged(lines)
        for metric in prepared.metrics.values():
            rows = metric.rows(found)
            scores |= {name: _finite(value) for name, value in metric.scores(rows).items()}
            for name, interval in intervals(metric, rows, resamples).items():
                bounds[name] = [_finite(bound) for bound in interval]
    return {
        "task": prepared.task.name,
        "name": prepared.name,
        "split": prepared.split,
        "variant": prepared.variant,
        "metrics": list(prepared.metrics),
        "examples": len(lines),
        "invalid": sum(one["value"] is None for one in lines) if prepared.written else 0,
        "truncated": prepared.truncated,
        "scores": scores,
        "intervals": bounds,
        "resamples": resamples,
        "decoding": _described(prepared),
        "identity": prepared.identity,
    }


def _described(prepared: Prepared) -> str:
    if prepared.classes:
        return "the likeliest class"
    if prepared.ranked:
        return "the likeliest choice"
    if prepared.spans is not None:
        return f"the likeliest span: {prepared.spans!r}"
    return repr(prepared.decoding) if prepared.decoding else "likelihood of the targets"


def _finite(value: float) -> float | None:
    """JSON has no NaN: an undefined score is null."""
    return value if math.isfinite(value) else None
