"""Judging a model on tasks: decode what is not decoded yet, read the answers, score them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from t2t.decoding.classify import classify
from t2t.decoding.decode import Decoder, decode_each
from t2t.decoding.scoring import rank, score
from t2t.decoding.spans import answer_passages
from t2t.evaluation.config import Judging
from t2t.evaluation.judgement import Line, Result, judge, line
from t2t.evaluation.predictions import PredictionStore
from t2t.evaluation.prepared import Prepared, content_hash
from t2t.evaluation.shares import WHOLE, Share
from t2t.models.transformer import Params
from t2t.tasks.class_answers import answers_of

# Called with (name, step, examples done, examples in all) as soon as a batch is kept.
Progress = Callable[[str, int, int, int], None]


class Checkpoint(NamedTuple):
    """Parameters of a step; fingerprint tells them from those of any other run's same step."""

    step: int
    fingerprint: str
    load: Callable[[], Params]


def silent(name: str, step: int, done: int, total: int) -> None:
    """A Progress that shows nothing."""


def evaluate_run(
    workdir: str,
    tasks: Sequence[Prepared],
    checkpoints: Iterable[Checkpoint],
    decoder: Decoder,
    settings: Judging,
    *,
    share: Share = WHOLE,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = silent,
) -> Iterator[Result]:
    """Judges checkpoints on tasks, one after the other; yields each result as it is there.

    Programs are compiled once for all checkpoints. Predictions and scores go to
    `workdir/predictions`; what stands there of the same examples, settings and parameters is not
    decoded again, and a checkpoint is loaded only where something is left to decode.
    share: decode and keep only these examples; the results are those of tasks that are whole.
    """
    for checkpoint in checkpoints:
        params = None
        for prepared in tasks:
            key = content_hash([prepared.identity, checkpoint.fingerprint])
            store = PredictionStore(workdir, prepared.name, checkpoint.step, key)
            place = f"{prepared.name} at step {checkpoint.step}"
            stored = store.result()
            if stored is not None:
                say(f"{place}: already judged")
                yield _judged_again(prepared, store, stored, settings.resamples)
                continue
            done = store.done()
            if done:
                say(f"{place}: going on after {len(done)} of {len(prepared.examples)} examples")
            left = [i for i in share.of(len(prepared.examples)) if i not in done]
            if left and params is None:
                params = checkpoint.load()
            for batch in _answered(prepared, decoder, params, left, settings.batch_size):
                store.add(batch)
                done |= {one["index"]: one for one in batch}
                progress(prepared.name, checkpoint.step, len(done), len(prepared.examples))
            if share != WHOLE:
                say(
                    f"{place}: share {share.index + 1}/{share.hosts} is decoded; when all are, the "
                    "same command without --share scores them"
                )
                continue
            lines = [done[i] for i in range(len(prepared.examples))]
            result = judge(prepared, lines, settings.resamples)
            yield store.finish(lines, {"step": checkpoint.step, **result})


def _judged_again(
    prepared: Prepared, store: PredictionStore, stored: Result, resamples: int
) -> Result:
    """A stored result; scored again where other metrics or draws are asked for than stand in it, or
    a function of the user's, which may have changed."""
    names = list(prepared.metrics)
    own = any(":" in name for name in names)
    if stored["resamples"] == resamples and stored["metrics"] == names and not own:
        return stored
    lines = store.lines()
    return store.finish(lines, {"step": stored["step"], **judge(prepared, lines, resamples)})


def evaluate_tasks(
    tasks: Sequence[Prepared],
    decoder: Decoder,
    params: Params,
    step: int,
    settings: Judging,
    *,
    workdir: str = "",
    stop: object = False,
    progress: Progress = silent,
) -> dict[str, dict[str, float]]:
    """Judges a model as it stands, as a training loop does at a step.

    tasks: from `prepare`, once, with the model's tokenizer. decoder: from `make_decoder`, once, on
    the mesh that params are sharded over; its programs are compiled at the first call and serve
    every later one. workdir: also writes `predictions/NAME/STEP.jsonl` and `STEP.json` (the first
    process alone), "" nothing. stop: when it becomes true the batch in hand is the last; progress
    is called after each batch, a sign of life for a watchdog.
    Returns {task name: {score: value, "invalid": count, "examples": count}} of the tasks that were
    finished: the values of a metrics row of split `eval/TASK`; an undefined score is NaN. Every
    process calls it with the same tasks; all return the same. settings.resamples=0 saves the time
    of intervals, which only the files hold.
    """
    found = {}
    for prepared in tasks:
        lines: dict[int, Line] = {}
        total = len(prepared.examples)
        for batch in _answered(prepared, decoder, params, range(total), settings.batch_size):
            lines |= {one["index"]: one for one in batch}
            progress(prepared.name, step, len(lines), total)
            if stop:
                break
        if len(lines) < total:
            break
        ordered = [lines[i] for i in range(total)]
        result = {"step": step, **judge(prepared, ordered, settings.resamples)}
        if workdir and jax.process_index() == 0:
            PredictionStore(workdir, prepared.name, step, prepared.identity).finish(ordered, result)
        scores = {k: float("nan") if v is None else v for k, v in result["scores"].items()}
        counts = {key: result[key] for key in ("invalid", "examples")}
        found[prepared.task.name] = {**scores, **counts}
    return found


def _answered(
    prepared: Prepared, decoder: Decoder, params, indices: Sequence[int], batch_size: int
) -> Iterator[list[Line]]:
    """Lines of batches of the examples at `indices`, as soon as each is there."""
    for batch in _predicted(prepared, decoder, params, indices, batch_size):
        scored: list = [None] * len(batch)
        if prepared.scored:
            rows = [prepared.rows[i] for i, _, _ in batch]
            targets = [prepared.targets[i] for i, _, _ in batch]
            scored = score(decoder, params, rows, targets, batch_size=batch_size)
        yield [
            line(prepared, index, text, own, likelihood)
            for (index, text, own), likelihood in zip(batch, scored, strict=True)
        ]


def _predicted(
    prepared: Prepared, decoder: Decoder, params, indices: Sequence[int], batch_size: int
) -> Iterator[list[tuple[int, str, float | None]]]:
    """Batches of (index, text, its log-probability)."""
    if prepared.decoding is not None:
        if not indices:
            return
        rows = [prepared.rows[i] for i in indices]
        for done in decode_each(
            decoder, params, rows, prepared.decoding, batch_size=batch_size, numbers=indices
        ):
            yield [
                (indices[i], best.text.strip() if prepared.goes_on else best.text, best.score)
                for i, (best, *_) in done
            ]
        return
    for first in range(0, len(indices), batch_size):
        part = indices[first : first + batch_size]
        if prepared.spans is not None:
            passages = [prepared.passages[i] for i in part]
            told = answer_passages(decoder, params, prepared.spans, passages, batch_size)
            yield [(i, one.text, one.log_probability) for i, one in zip(part, told, strict=True)]
            continue
        if not prepared.ranked:
            yield [(index, "", None) for index in part]
            continue
        choices = [prepared.examples[i].choices for i in part]
        rows = [prepared.rows[i] for i in part]
        if prepared.classes:
            told = classify(decoder, params, rows, batch_size)
            yield [
                (index, answers_of(prepared.classes, of)[int(np.argmax(logs))], max(logs))
                for index, of, logs in zip(part, choices, told, strict=True)
            ]
            continue
        encoded = [prepared.choices[i] for i in part]
        ranked = rank(decoder, params, rows, encoded, batch_size=batch_size)
        yield [
            (index, of[r.best], r.scores[r.best])
            for index, of, r in zip(part, choices, ranked, strict=True)
        ]
