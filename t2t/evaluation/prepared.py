"""A task made ready for a model: its examples as tokens, how they are decoded, and their hashes."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from t2t.data.tokenizers import Tokenizer
from t2t.data.vocabulary import MASKING_ROLES, require_roles
from t2t.decoding.classify import Texts, fitted
from t2t.decoding.config import Beam, Decoding, Greedy
from t2t.decoding.decode import check_beams
from t2t.decoding.prompts import input_row
from t2t.decoding.spans import Passage
from t2t.errors import UserError
from t2t.evaluation.config import Judging
from t2t.evaluation.metrics.catalog import metric
from t2t.evaluation.metrics.metric import Judged, Metric
from t2t.evaluation.spelling import check_spelling
from t2t.models.architecture import DECODER, ENCODER, ENCODER_DECODER, Architecture
from t2t.objectives.classes_config import Classes
from t2t.objectives.cloze import ADDED
from t2t.objectives.extractive_config import ExtractiveSpans
from t2t.tasks.examples import examples
from t2t.tasks.few_shot import with_shots
from t2t.tasks.posing import before_answer, check_answerable
from t2t.tasks.task import Example, Task

TRIED = 16  # examples that metrics are tried on before anything is decoded


class Prepared(NamedTuple):
    """What is decoded and how. identity: a hash of the examples with their prompts, the lengths, the
    vocabulary and the decoding; equal ones of equal parameters give equal predictions."""

    task: Task
    split: str
    variant: str  # what of the settings is not the task's own
    examples: list[Example]
    rows: list  # as `decoding.prompts.input_row` has them; of classes as `decoding.classify` takes them
    targets: list[np.ndarray]
    choices: list[list[np.ndarray]]  # of each example, where they are ranked
    goes_on: bool  # whether answers are the next words of a text: spaces around them are no part
    decoding: Decoding | None  # None: choices are ranked, or nothing is written
    ranked: bool
    scored: bool  # whether log-likelihoods of the targets are wanted
    metrics: dict[str, Metric]
    truncated: int  # inputs longer than allowed, cut at their end
    identity: str
    # Where answers are spans: how they are looked for, and each example's question and context.
    spans: ExtractiveSpans | None = None
    passages: tuple[Passage, ...] = ()
    classes: tuple[str, ...] = ()  # the labels of a head that tells which of the choices it is

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
        return self.ranked or self.decoding is not None or self.spans is not None

    def read(self, text: str, example: Example):
        """What an answer is compared as; a part of a context is written as the truths are first."""
        return self.task.read(text if self.spans is None else self.task.posed(text), example)


def prepare(
    task: Task,
    settings: Judging,
    tokenizer: Tokenizer,
    arch: Architecture | None = None,
    head: ExtractiveSpans | Classes | None = None,
) -> Prepared:
    """Reads a task's examples and encodes them for a model; arch None: an encoder-decoder; head: what
    it answers by, where that is spans (see readings.py) or classes.

    A decoder alone is given the same texts, and its answers are the next words; an encoder alone
    chooses among the task's choices, by its classes where it has such, shown the one or two texts of each
    input as published where it was trained so. Where a model has few positions, inputs are cut to them.
    Raises UserError where a split, file, metric or training example is missing, a metric cannot
    judge the task, a prompt does not fit, the vocabulary cannot spell the task, or such a model
    cannot answer it.
    """
    if isinstance(head, ExtractiveSpans):
        from t2t.evaluation.readings import prepare_readings

        return prepare_readings(task, settings, tokenizer, arch, head)
    stacks = ENCODER_DECODER if arch is None else arch.stacks
    classes, plain = ((), False) if head is None else (head.labels, head.plain)
    if plain and settings.shots:
        raise UserError(
            f"{task.name}: shots={settings.shots} is for models that go on with words, and this one tells "
            "the class of texts; leave it out"
        )
    if stacks == ENCODER:
        roles = ("cls", "sep") if classes else MASKING_ROLES
        require_roles(tokenizer.vocabulary, roles, "the model")
        for key in ("beams", "targets_length"):
            if getattr(settings, key):
                raise UserError(
                    f"{task.name}: {key}={getattr(settings, key)} is for models that write, and this "
                    f"is {ENCODER}; leave it out"
                )
    split, found, metrics = examples_and_metrics(task, settings)
    if settings.shots:
        pool = list(examples(task, "train", settings.data))
        found = list(with_shots(found, pool, settings.shots, settings.seed))
    check_answerable(task.name, found, stacks, head)
    ends, begins = before_answer(stacks, settings.shots)
    shown = [(plain and one.texts) or (one.input + ends,) for one in found]
    encoded = _encoded(shown, tokenizer)
    targets = tokenizer.encode([begins + example.target for example in found])
    check_spelling(task.name, found, [np.concatenate(t) for t in encoded], targets, tokenizer)
    eos = [] if stacks == ENCODER else [tokenizer.vocabulary.eos_id]
    # Alone, a decoder is asked for the words: not every text ends there.
    choices = _spelled(found, begins, tokenizer, [] if stacks == DECODER else eos)
    decoding, ranked = _decoding(task, settings, found, metrics, stacks, choices)
    if decoding is not None:
        decoding.check(task.name)
        check_beams(decoding, arch.vocab_size if arch else tokenizer.vocabulary.size)
    labelled = all(example.truth is not None for example in found)
    scored = labelled and any(one.likelihood for one in metrics.values())
    answers = [len(c) for of in choices for c in of] if ranked else [0]
    answers += [len(ids) + len(eos) for ids in targets] if scored else []
    if classes:
        longest = _row_length(task, settings, arch)
        kept = fitted(encoded, tokenizer.vocabulary.separators, longest)
        too_long = [i for i, texts in enumerate(encoded) if _size(texts) > _size(kept[i])]
    else:
        written = max(decoding.max_tokens if decoding else 0, *answers)
        longest = _longest(task, settings, arch, written)
        too_long = [i for i, (ids,) in enumerate(encoded) if len(ids) >= longest]
        kept = [_input(arch, tokenizer, ids[: longest - 1]) for (ids,) in encoded]
    if too_long and settings.shots:
        raise UserError(
            f"{task.name}: example {too_long[0]} with {settings.shots} shots has "
            f"{_size(encoded[too_long[0]]) + 1} tokens, more than --inputs-length={longest}"
        )
    how = {type(decoding).__name__: dataclasses.asdict(decoding)} if decoding else None
    texts = [[e.input, e.target, e.truth, e.group, e.id, e.choices] for e in found]
    settled = [how, ranked, scored, longest, tokenizer.vocabulary.fingerprint]
    settled += [] if stacks == ENCODER_DECODER else [stacks, ends, begins]
    settled += ["classes", *shown] if classes else []
    settled += [classes] if classes and classes != found[0].choices else []
    if scored and stacks == ENCODER:
        raise UserError(
            f"{task.name}: the metrics {', '.join(task.metrics)} need the likelihood of a whole "
            f"target, and the model is {ENCODER}; name others"
        )
    goes_on = stacks == DECODER and task.goes_on
    return Prepared(
        task=task,
        split=split,
        variant=settings.variant,
        examples=found,
        rows=kept,
        targets=[np.append(ids, [] if goes_on else eos).astype(np.int32) for ids in targets],
        choices=choices if ranked else [],
        goes_on=stacks != ENCODER_DECODER,
        decoding=decoding,
        ranked=ranked,
        scored=scored,
        metrics=metrics,
        truncated=len(too_long),
        identity=content_hash([task.name, split, settled, texts]),
        classes=classes,
    )


def _encoded(shown: Sequence[tuple[str, ...]], tokenizer: Tokenizer) -> list[Texts]:
    """The tokens of the one or two texts of every example."""
    ids = iter(tokenizer.encode([text for texts in shown for text in texts]))
    return [tuple(next(ids) for _ in texts) for texts in shown]


def _size(texts: Texts) -> int:
    return sum(map(len, texts))


def _input(arch: Architecture | None, tokenizer: Tokenizer, ids: np.ndarray) -> np.ndarray:
    if arch is None:
        return np.append(ids, tokenizer.vocabulary.eos_id).astype(np.int32)
    return input_row(arch, tokenizer.vocabulary, ids)


def _row_length(task: Task, settings: Judging, arch: Architecture) -> int:
    """How many tokens a row of texts for a classifier has at most, in their frame."""
    length = settings.inputs_length or task.inputs_length
    return min(length, arch.positions or length)


def examples_and_metrics(
    task: Task, settings: Judging
) -> tuple[str, list[Example], dict[str, Metric]]:
    """Returns (the split that is judged, its examples, the metrics that judge it, tried on some)."""
    metrics = {name: metric(name, task.name) for name in task.metrics}
    split = settings.split or task.judged
    found = list(examples(task, split, settings.data, settings.limit))
    if not found:
        raise UserError(f"{task.name}: the split {split!r} holds no example")
    _try(task, found[:TRIED], metrics)
    return split, found, metrics


def _try(task: Task, found: Sequence[Example], metrics: dict[str, Metric]) -> None:
    """Judges the targets themselves, so that a metric that cannot is known before the decoding."""
    judged = [
        Judged(e.truth, task.read(e.target, e), e.group, len(e.choices), e.target, -1.0, 1)
        for e in found
        if e.truth is not None
    ]
    for name, one in metrics.items() if judged else ():
        place = f"{task.name}: metric {name}: "
        try:
            one.scores(one.rows(judged))
        except UserError as error:
            raise UserError(place + str(error).removeprefix(place)) from error


def _spelled(
    found: Sequence[Example], begins: str, tokenizer: Tokenizer, end: list[int]
) -> list[list[np.ndarray]]:
    """The token rows of every example's choices."""
    texts = sorted({choice for example in found for choice in example.choices})
    ids = tokenizer.encode([begins + text for text in texts])
    spelled = {t: np.append(i, end).astype(np.int32) for t, i in zip(texts, ids, strict=True)}
    return [[spelled[choice] for choice in example.choices] for example in found]


def _longest(task: Task, settings: Judging, arch: Architecture | None, written: int) -> int:
    """How many tokens an input has at most, the one more that stands at its end or beginning counted:
    beside an answer of `written` tokens there must be positions for it."""
    longest = settings.inputs_length or task.inputs_length
    if arch is None or arch.positions is None:
        return longest
    room = arch.positions - written + (1 - ADDED if arch.stacks == ENCODER else 1)
    if room < 2:
        raise UserError(
            f"{task.name}: answers of {written} tokens leave nothing of the model's "
            f"{arch.positions} positions for inputs; give a smaller --targets-length"
        )
    return min(longest, room)


def _decoding(
    task: Task,
    settings: Judging,
    found: list[Example],
    metrics: dict[str, Metric],
    stacks: str,
    choices: list[list[np.ndarray]],
) -> tuple[Decoding | None, bool]:
    if stacks == ENCODER:
        return None, True
    if settings.rank:
        if not all(example.choices for example in found):
            raise UserError(f"{task.name}: --rank chooses among a task's choices; it has none")
        return None, True
    if all(one.likelihood for one in metrics.values()):
        return None, False
    most = settings.targets_length or task.targets_length
    stop: tuple[str, ...] = ()
    if stacks == DECODER:
        # A longer answer is none of the choices, however it goes on; in a prompt a line holds one.
        if not settings.targets_length and all(choices):
            most = min(most, max(len(c) for of in choices for c in of) + 2)
        stop = ("\n",) if settings.shots else ()
    beams = settings.beams or task.decoding.beams
    if beams == 1:
        return Greedy(max_tokens=most, stop=stop), False
    penalty = task.decoding.alpha
    return Beam(max_tokens=most, beams=beams, length_penalty=penalty, stop=stop), False


def content_hash(content) -> str:
    """The first 16 hex digits of the SHA-256 of something that JSON can hold."""
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()[:16]
