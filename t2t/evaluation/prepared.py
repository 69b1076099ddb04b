"""A task made ready for a model: its examples as tokens, how they are decoded, and their hashes."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from t2t.data.tokenizers import Tokenizer
from t2t.decoding.config import Beam, Decoding, Greedy
from t2t.errors import UserError
from t2t.evaluation.config import Judging
from t2t.evaluation.metrics.catalog import metric
from t2t.evaluation.metrics.metric import Judged, Metric
from t2t.evaluation.spelling import check_spelling
from t2t.tasks.examples import examples
from t2t.tasks.few_shot import with_shots
from t2t.tasks.task import Example, Task

_TRIED = 16  # examples that metrics are tried on before anything is decoded


class Prepared(NamedTuple):
    """What is decoded and how. identity: a hash of the examples with their prompts, the lengths, the
    vocabulary and the decoding; equal ones of equal parameters give equal predictions."""

    task: Task
    split: str
    variant: str  # what of the settings is not the task's own
    examples: list[Example]
    rows: list[np.ndarray]  # token ids, end of sequence included
    targets: list[np.ndarray]
    decoding: Decoding | None  # None: choices are ranked, or nothing is written
    ranked: bool
    scored: bool  # whether log-likelihoods of the targets are wanted
    metrics: dict[str, Metric]
    truncated: int  # inputs longer than allowed, cut at their end
    identity: str

    @property
    def name(self) -> str:
        """TASK[.SPLIT][.VARIANT]: each set of predictions has a name of its own."""
        split = "" if self.split == self.task.judged else self.split
        return ".".join(filter(None, (self.task.name, split, self.variant)))

    @property
    def labelled(self) -> bool:
        return all(example.truth is not None for example in self.examples)

    @property
    def written(self) -> bool:
        """Whether there is an answer to read."""
        return self.ranked or self.decoding is not None


def prepare(task: Task, settings: Judging, tokenizer: Tokenizer) -> Prepared:
    """Reads a task's examples and encodes them.

    Raises UserError where a split, file, metric or training example is missing, a metric cannot
    judge the task, a prompt does not fit, or the vocabulary cannot spell the task.
    """
    metrics = {name: metric(name, task.name) for name in task.metrics}
    split = settings.split or task.judged
    found = list(examples(task, split, settings.data, settings.limit))
    if not found:
        raise UserError(f"{task.name}: the split {split!r} holds no example")
    _try(task, found, metrics)
    if settings.shots:
        pool = list(examples(task, "train", settings.data))
        found = list(with_shots(found, pool, settings.shots, settings.seed))
    longest = settings.inputs_length or task.inputs_length
    encoded = tokenizer.encode([example.input for example in found])
    targets = tokenizer.encode([example.target for example in found])
    check_spelling(task.name, found, encoded, targets, tokenizer)
    too_long = [i for i, ids in enumerate(encoded) if len(ids) >= longest]
    if too_long and settings.shots:
        raise UserError(
            f"{task.name}: example {too_long[0]} with {settings.shots} shots has "
            f"{len(encoded[too_long[0]]) + 1} tokens, more than --inputs-length={longest}"
        )
    eos = tokenizer.vocabulary.eos_id
    decoding, ranked = _decoding(task, settings, found, metrics)
    labelled = all(example.truth is not None for example in found)
    scored = labelled and any(one.likelihood for one in metrics.values())
    how = {type(decoding).__name__: dataclasses.asdict(decoding)} if decoding else None
    texts = [[e.input, e.target, e.truth, e.group, e.id, e.choices] for e in found]
    settled = [how, ranked, scored, longest, tokenizer.vocabulary.fingerprint]
    return Prepared(
        task=task,
        split=split,
        variant=settings.variant,
        examples=found,
        rows=[np.append(ids[: longest - 1], eos).astype(np.int32) for ids in encoded],
        targets=[np.append(ids, eos).astype(np.int32) for ids in targets],
        decoding=decoding,
        ranked=ranked,
        scored=scored,
        metrics=metrics,
        truncated=len(too_long),
        identity=content_hash([task.name, split, settled, texts]),
    )


def _try(task: Task, found: Sequence[Example], metrics: dict[str, Metric]) -> None:
    """Judges the targets themselves, so that a metric that cannot is known before the decoding."""
    judged = [
        Judged(e.truth, task.read(e.target, e), e.group, len(e.choices), e.target, -1.0, 1)
        for e in found[:_TRIED]
        if e.truth is not None
    ]
    for one in metrics.values() if judged else ():
        try:
            one.scores(one.rows(judged))
        except UserError as error:
            raise UserError(f"{task.name}: {str(error).removeprefix(task.name + ': ')}") from error


def _decoding(
    task: Task, settings: Judging, found: list[Example], metrics: dict[str, Metric]
) -> tuple[Decoding | None, bool]:
    if settings.rank:
        if not all(example.choices for example in found):
            raise UserError(f"{task.name}: --rank chooses among a task's choices; it has none")
        return None, True
    if all(one.likelihood for one in metrics.values()):
        return None, False
    most = settings.targets_length or task.targets_length
    beams = settings.beams or task.decoding.beams
    if beams == 1:
        return Greedy(max_tokens=most), False
    return Beam(max_tokens=most, beams=beams, length_penalty=task.decoding.alpha), False


def content_hash(content) -> str:
    """The first 16 hex digits of the SHA-256 of something that JSON can hold."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()[:16]
