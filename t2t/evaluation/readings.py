"""A task made ready for a model that points at answers: its questions and contexts as tokens."""

import dataclasses

from t2t.data.tokenizers import Tokenizer
from t2t.decoding.spans import encode_passages
from t2t.errors import UserError
from t2t.evaluation.config import Judging
from t2t.evaluation.prepared import Prepared, content_hash, examples_and_metrics
from t2t.evaluation.spelling import check_spelling
from t2t.models.architecture import ENCODER, Architecture
from t2t.objectives.extractive_config import ExtractiveSpans
from t2t.tasks.posing import check_answerable
from t2t.tasks.task import Task

# What is for models that write or choose their answers.
_NOT_OF_SPANS = ("shots", "beams", "targets_length", "rank")


def prepare_readings(
    task: Task, settings: Judging, tokenizer: Tokenizer, arch: Architecture, spans: ExtractiveSpans
) -> Prepared:
    """As `prepared.prepare`; windows are the run's, of settings.inputs_length tokens where that is given.

    Raises UserError as that does, and where answers are no parts of a context or the vocabulary does
    not tell its tokens from characters.
    """
    for key in _NOT_OF_SPANS:
        if getattr(settings, key):
            raise UserError(
                f"{task.name}: {key}={getattr(settings, key)} is for models that write or choose, and "
                "this one points at spans; leave it out"
            )
    if settings.inputs_length:
        spans = dataclasses.replace(spans, length=settings.inputs_length)
        spans.check(f"{task.name}: --inputs-length")
    if arch.positions is not None and spans.length > arch.positions:
        raise UserError(
            f"{task.name}: --inputs-length={spans.length} is more than the model's {arch.positions} "
            "positions"
        )
    split, found, metrics = examples_and_metrics(task, settings)
    check_answerable(task.name, found, ENCODER, spans)
    if any(one.likelihood for one in metrics.values()):
        raise UserError(
            f"{task.name}: the metrics {', '.join(task.metrics)} need the likelihood of a whole "
            "target, and the model points at spans; name others"
        )
    readings = [example.reading for example in found]
    passages = encode_passages(
        tokenizer, [one.question for one in readings], [one.context for one in readings]
    )
    targets = tokenizer.encode([example.target for example in found])
    check_spelling(task.name, found, [one.context for one in passages], targets, tokenizer)
    how = [dataclasses.asdict(spans), tokenizer.vocabulary.fingerprint]
    texts = [[e.reading.question, e.reading.context, e.truth, e.group, e.id] for e in found]
    return Prepared(
        task=task,
        split=split,
        variant=settings.variant,
        examples=found,
        rows=[],
        targets=[],
        choices=[],
        goes_on=False,
        decoding=None,
        ranked=False,
        scored=False,
        metrics=metrics,
        truncated=sum(len(one.question) > spans.question_length for one in passages),
        identity=content_hash([task.name, split, how, texts]),
        spans=spans,
        passages=tuple(passages),
    )
