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
from t2t.evaluation.config import Evaluation
from t2t.evaluation.metrics.catalog import metric
from t2t.evaluation.metrics.metric import Metric
from t2t.tasks.examples import examples
from t2t.tasks.few_shot import with_shots
from t2t.tasks.labels import UNLABELLED
from t2t.tasks.task import Example, Task

# A model cannot write, or was never shown, what its vocabulary cannot spell.
MOST_UNKNOWN = 0.1


class Prepared(NamedTuple):
    """What is decoded and how. data: a hash of the examples' texts. identity: a hash of those, the
    prompts, the vocabulary, the lengths and the decoding; equal ones give equal predictions."""

    task: Task
    split: str
    examples: list[Example]
    rows: list[np.ndarray]  # token ids, end of sequence included
    targets: list[np.ndarray]
    decoding: Decoding | None  # None: choices are ranked, or nothing is written
    ranked: bool
    metrics: dict[str, Metric]
    truncated: int  # inputs longer than allowed, cut at their end
    data: str
    identity: str

    @property
    def labelled(self) -> bool:
        return all(example.truth is not None for example in self.examples)

    @property
    def scored(self) -> bool:
        """Whether log-likelihoods of the targets are wanted."""
        return self.labelled and any(one.likelihood for one in self.metrics.values())


def prepare(task: Task, settings: Evaluation, tokenizer: Tokenizer) -> Prepared:
    """Reads a task's examples and encodes them.

    Raises UserError where a split, file, metric or training example is missing, a prompt does not
    fit, or the tokenizer cannot spell the task.
    """
    metrics = {name: metric(name, task.name) for name in task.metrics}
    split = settings.split or task.judged
    found = list(examples(task, split, settings.data, settings.limit))
    if not found:
        raise UserError(f"{task.name}: the split {split!r} holds no example")
    if settings.shots:
        pool = list(examples(task, "train", settings.data))
        found = list(with_shots(found, pool, settings.shots, settings.seed))
    longest = settings.inputs_length or task.inputs_length
    encoded = tokenizer.encode([example.input for example in found])
    targets = tokenizer.encode([example.target for example in found])
    _check_spelling(task, found, encoded, targets, tokenizer)
    too_long = [i for i, ids in enumerate(encoded) if len(ids) >= longest]
    if too_long and settings.shots:
        raise UserError(
            f"{task.name}: example {too_long[0]} with {settings.shots} shots has "
            f"{len(encoded[too_long[0]]) + 1} tokens, more than --inputs-length={longest}"
        )
    eos = tokenizer.vocabulary.eos_id
    rows = [np.append(ids[: longest - 1], eos).astype(np.int32) for ids in encoded]
    ends = [np.append(ids, eos).astype(np.int32) for ids in targets]
    decoding, ranked = _decoding(task, settings, found, metrics)
    data = _hash([[e.input, e.target, e.truth, e.group, e.id, e.choices] for e in found])
    how = dataclasses.asdict(decoding) if decoding else None
    kind = type(decoding).__name__ if decoding else ""
    settled = [data, kind, how, ranked, longest, tokenizer.vocabulary.fingerprint]
    return Prepared(
        task,
        split,
        found,
        rows,
        ends,
        decoding,
        ranked,
        metrics,
        len(too_long),
        data,
        _hash([task.name, split, settled, list(metrics)]),
    )


def _decoding(
    task: Task, settings: Evaluation, found: list[Example], metrics: dict[str, Metric]
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


def _check_spelling(
    task: Task,
    found: list[Example],
    encoded: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    tokenizer: Tokenizer,
) -> None:
    unknown = tokenizer.vocabulary.unk_id
    choices = sorted({choice for example in found for choice in example.choices})
    for choice, ids in zip(choices, tokenizer.encode(choices), strict=True):
        if (ids == unknown).any():
            raise UserError(
                f"{task.name}: the vocabulary is not made for it: it cannot spell the answer "
                f"{choice!r}; evaluate a model whose tokenizer can"
            )
    written = [t for t, e in zip(targets, found, strict=True) if e.target != UNLABELLED]
    for kind, rows in (("inputs", encoded), ("targets", written)):
        total = sum(map(len, rows))
        share = sum(int((ids == unknown).sum()) for ids in rows) / max(total, 1)
        if share > MOST_UNKNOWN:
            raise UserError(
                f"{task.name}: the vocabulary is not made for it: it cannot spell {share:.0%} of "
                f"its {kind}' tokens; evaluate a model whose tokenizer can"
            )


def _hash(content) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:16]
