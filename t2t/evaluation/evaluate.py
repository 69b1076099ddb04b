"""Judging a model on tasks: decode what is not decoded yet, read the answers, score them."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from t2t.decoding.decode import Decoder, decode_each, make_decoder
from t2t.decoding.scoring import rank, score
from t2t.evaluation.config import Evaluation
from t2t.evaluation.metrics.metric import Judged
from t2t.evaluation.predictions import PredictionStore, store_name
from t2t.evaluation.prepared import Prepared
from t2t.evaluation.resampling import intervals
from t2t.models.transformer import Params

Line = dict[str, Any]  # of a predictions file
Result = dict[str, Any]  # of its scores


def evaluate_run(
    workdir: str,
    tasks: Sequence[Prepared],
    steps: Sequence[int],
    load: Callable[[int], tuple],
    tokenizer,
    settings: Evaluation,
    say: Callable[[str], None],
) -> list[Result]:
    """Judges a run's checkpoints on tasks, a step after the other; programs are compiled once.

    load(step) -> (model, params), called only where something is left to decode. Predictions and
    scores go to `workdir/predictions`; what stands there of the same examples and settings is not
    decoded again.
    """
    decoder, found = None, []
    for step in steps:
        params = None
        for prepared in tasks:
            store = PredictionStore(workdir, store_name(prepared), step, prepared.identity)
            result = store.result()
            if result is None:
                done = store.done()
                if len(done) < len(prepared.examples) and params is None:
                    model, params = load(step)
                    decoder = decoder or make_decoder(model, tokenizer)
                result = evaluate(prepared, decoder, params, step, settings, store, done, say)
            else:
                result = rescored(prepared, store.lines(), result, settings)
                say(f"{result['name']} at step {step}: already judged")
            found.append(result)
    return found


def evaluate(
    prepared: Prepared,
    decoder: Decoder | None,
    params: Params | None,
    step: int,
    settings: Evaluation,
    store: PredictionStore | None = None,
    done: dict[int, Line] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Judges one task: decodes the examples that are not in `done` (index -> line), and scores.

    store: keeps each batch as it comes and the result at the end; None keeps nothing.
    Returns {task, name, split, step, examples, invalid, truncated, scores, intervals, ...}.
    """
    name, lines = store_name(prepared), dict(done or {})
    left = [i for i in range(len(prepared.examples)) if i not in lines]
    if lines and left:
        say(f"{name} at step {step}: going on after {len(lines)} of {len(prepared.examples)}")
    for batch in _answered(prepared, decoder, params, left, settings.batch_size):
        if store is not None:
            store.add(batch)
        lines |= {line["index"]: line for line in batch}
        say(f"{name} at step {step}: {len(lines)} of {len(prepared.examples)}")
    ordered = [lines[i] for i in range(len(prepared.examples))]
    result = {
        "task": prepared.task.name,
        "name": name,
        "split": prepared.split,
        "step": step,
        "examples": len(ordered),
        "truncated": prepared.truncated,
        "data": prepared.data,
        "decoding": _described(prepared),
        **_judgement(prepared, ordered, settings.resamples),
    }
    if store is not None:
        store.finish(ordered, result)
    return result


def rescored(prepared: Prepared, lines: list[Line], result: Result, settings: Evaluation) -> Result:
    """A stored result with intervals from as many draws as are asked for now."""
    if result["resamples"] == settings.resamples:
        return result
    return {**result, **_judgement(prepared, lines, settings.resamples)}


def _described(prepared: Prepared) -> str:
    if prepared.ranked:
        return "ranked choices"
    return repr(prepared.decoding) if prepared.decoding else "likelihood of the targets"


def _answered(
    prepared: Prepared, decoder, params, indices: list[int], batch_size: int
) -> Iterator[list[Line]]:
    """Lines of batches of the examples at `indices`, as soon as each is there."""
    for batch in _predicted(prepared, decoder, params, indices, batch_size):
        scored: list = [None] * len(batch)
        if prepared.scored:
            rows = [prepared.rows[i] for i, _, _ in batch]
            targets = [prepared.targets[i] for i, _, _ in batch]
            scored = score(decoder, params, rows, targets, batch_size=batch_size)
        yield [
            _line(prepared, index, text, own, likelihood)
            for (index, text, own), likelihood in zip(batch, scored, strict=True)
        ]


def _predicted(
    prepared: Prepared, decoder, params, indices: list[int], batch_size: int
) -> Iterator[list[tuple[int, str, float | None]]]:
    """Batches of (index, text, its log-probability)."""
    rows = [prepared.rows[i] for i in indices]
    if prepared.decoding is not None and rows:
        for done in decode_each(
            decoder, params, rows, prepared.decoding, batch_size=batch_size, numbers=indices
        ):
            yield [(indices[i], outputs[0].text, outputs[0].score) for i, outputs in done]
        return
    for first in range(0, len(indices), batch_size):
        part = indices[first : first + batch_size]
        if not prepared.ranked:
            yield [(index, "", None) for index in part]
            continue
        choices = [prepared.examples[i].choices for i in part]
        vocabulary = decoder.tokenizer.vocabulary
        encoded = [
            [[*ids, vocabulary.eos_id] for ids in decoder.tokenizer.encode(of)] for of in choices
        ]
        ranked = rank(
            decoder, params, [prepared.rows[i] for i in part], encoded, batch_size=batch_size
        )
        yield [
            (index, of[r.best], r.scores[r.best])
            for index, of, r in zip(part, choices, ranked, strict=True)
        ]


def _line(prepared: Prepared, index: int, text: str, own: float | None, likelihood) -> Line:
    example = prepared.examples[index]
    scores = {} if own is None else {"log_probability": own}
    if likelihood is not None:
        scores["target_log_likelihood"] = likelihood.score
        scores["target_tokens"] = len(likelihood.log_probabilities)
    written = prepared.decoding is not None or prepared.ranked
    return {
        "index": index,
        "id": example.id,
        "input": example.input,
        "target": example.target,
        "prediction": text,
        "truth": example.truth,
        "value": prepared.task.read(text, example) if written else None,
        "group": example.group,
        "classes": len(example.choices),
        "scores": scores,
    }


def judged(lines: Sequence[Line]) -> list[Judged]:
    """The lines of a predictions file as metrics take them."""
    return [
        Judged(
            truth=tuple(line["truth"]) if isinstance(line["truth"], list) else line["truth"],
            value=line["value"],
            group=tuple(line["group"]),
            classes=line["classes"],
            target=line["target"],
            log_likelihood=line["scores"].get("target_log_likelihood"),
            tokens=line["scores"].get("target_tokens", 0),
        )
        for line in lines
    ]


def _judgement(prepared: Prepared, lines: list[Line], resamples: int) -> dict[str, Any]:
    """{invalid, resamples, scores, intervals}; without labels there are no scores."""
    written = prepared.decoding is not None or prepared.ranked
    invalid = sum(line["value"] is None for line in lines) if written else 0
    scores: dict[str, float | None] = {}
    bounds: dict[str, list[float | None]] = {}
    if prepared.labelled:
        found = judged(lines)
        for metric in prepared.metrics.values():
            rows = metric.rows(found)
            scores |= {name: _finite(value) for name, value in metric.scores(rows).items()}
            for name, interval in intervals(metric, rows, resamples).items():
                bounds[name] = [_finite(bound) for bound in interval]
    return {"invalid": invalid, "resamples": resamples, "scores": scores, "intervals": bounds}


def _finite(value: float) -> float | None:
    """JSON has no NaN: an undefined score is null."""
    return value if math.isfinite(value) else None
