"""Answers of an encoder alone that are spans of a context: the likeliest start and end over all windows.

A span's score is the sum of its start's and its end's logit (Devlin et al. 2019, section 4.2). All
spans of at most `answer_length` tokens are looked at, where run_squad.py looks at those of the 20
likeliest starts and ends. Where a question may have no answer, [CLS] as start and end stands for that
(null_threshold; SQuAD 2.0). A token that stands in several windows begins an answer only in the one
where it has the most context. The answer is cut out of the context by characters.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from t2t.data.tokenizers import Tokenizer
from t2t.decoding.batches import batches, laid_out
from t2t.decoding.one_ahead import one_ahead
from t2t.errors import UserError
from t2t.models.transformer import Params
from t2t.objectives.extractive_config import ADDED, ExtractiveSpans
from t2t.objectives.extractive_spans import (
    Windows,
    context_begins,
    make_pairs_batch,
    window_of,
    windows,
)
from t2t.wiring.extractive import NEVER, place_logits

N_BEST = 20  # spans whose scores make up an answer's probability (run_squad.py's n_best_size)


class Passage(NamedTuple):
    """A question over a context, as tokens."""

    question: np.ndarray  # int32 [Q]
    context: np.ndarray  # int32 [T]
    offsets: np.ndarray  # int32 [T, 2]: the characters of `text` that each token has
    text: str


class Answer(NamedTuple):
    """A part of a context; log_probability: among the N_BEST spans."""

    text: str
    log_probability: float


def encode_passages(
    tokenizer: Tokenizer, questions: Sequence[str], contexts: Sequence[str]
) -> list[Passage]:
    """Returns questions over contexts as tokens.

    Raises: UserError where the vocabulary does not tell its tokens from characters.
    """
    if not hasattr(tokenizer, "encode_with_offsets"):
        raise UserError(
            "the vocabulary does not tell which characters a token has, and an answer is a part of a "
            "text; take Subwords or TrainedSubwords"
        )
    read = tokenizer.encode_with_offsets(contexts)
    return [
        Passage(question, ids, offsets, text)
        for question, (ids, offsets), text in zip(
            tokenizer.encode(questions), read, contexts, strict=True
        )
    ]


def best_spans(
    logits: jax.Array, starts: jax.Array, ends: jax.Array, longest: int, count: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The `count` best spans of each row, best first: (scores, first, last place), [B, count] each.

    logits [B, 2, L] of starts and ends; starts, ends [B, L] bool: where a span may begin and end. A
    span has 1 to `longest` places. What is none scores below NEVER / 2.
    """
    length = logits.shape[-1]
    longest = min(longest, length)
    first = jnp.where(starts, logits[:, 0], NEVER)
    last = jnp.where(ends, logits[:, 1], NEVER)
    last = jnp.pad(last, ((0, 0), (0, longest - 1)), constant_values=NEVER)
    reach = jnp.arange(length)[:, None] + jnp.arange(longest)
    scores = (first[:, :, None] + last[:, reach]).reshape(len(logits), -1)  # [B, L * longest]
    best, at = jax.lax.top_k(scores, min(count, scores.shape[1]))
    return best, at // longest, at // longest + at % longest


def answer_passages(
    decoder, params: Params, cfg: ExtractiveSpans, passages: Sequence[Passage], batch_size: int
) -> list[Answer]:
    """Returns the best answer of every passage, in order; of a context without a token it is empty.

    decoder: a `Decoder`. batch_size counts windows.
    """
    cut = windows(
        cfg,
        np.array([len(one.question) for one in passages], np.int64),
        np.array([len(one.context) for one in passages], np.int64),
    )
    best_in = [
        window_of(cut.begin[of], cut.size[of], len(one.context)) + of.start
        for one, of in zip(passages, _runs(cut, len(passages)), strict=True)
    ]
    program, facts = _program(decoder, cfg), decoder.tokenizer.vocabulary
    found: list[list[tuple[float, int, int]]] = [[] for _ in passages]
    nulls = [np.inf] * len(passages)  # how "no answer" scores, where it scores least

    def started() -> Iterator[tuple[list[int], tuple[jax.Array, ...]]]:
        lengths = (cut.question + cut.size + ADDED).tolist()
        for batch in batches(lengths, batch_size, decoder.mesh):
            # Padding must not run over the model's positions.
            row = ExtractiveSpans(min(batch.length, cfg.length))
            arrays = _arrays(row, facts, passages, cut, best_in, batch.filled)
            yield batch.indices, program(params, laid_out(arrays, decoder.mesh))

    for indices, values in one_ahead(started()):
        for window, none, *row in zip(indices, *values, strict=False):
            nulls[cut.pair[window]] = min(nulls[cut.pair[window]], float(none))
            # From places in the row to tokens of the context.
            shift = int(cut.begin[window] - context_begins(cut.question[window]))
            spans = [
                (float(score), int(first) + shift, int(last) + shift)
                for score, first, last in zip(*row, strict=True)
                if score > NEVER / 2
            ]
            found[cut.pair[window]] += spans
    if cfg.null_threshold is None:
        return [_best(one, spans) for one, spans in zip(passages, found, strict=True)]
    return [
        _best_or_none(one, spans, null, cfg.null_threshold)
        for one, spans, null in zip(passages, found, nulls, strict=True)
    ]


def _runs(cut: Windows, count: int) -> Iterator[slice]:
    """Yields which windows each of `count` passages has."""
    ends = np.searchsorted(cut.pair, np.arange(count), side="right").tolist()
    for first, last in zip([0, *ends], ends, strict=False):
        yield slice(first, last)


def _arrays(
    row: ExtractiveSpans,
    facts,
    passages: Sequence[Passage],
    cut: Windows,
    best_in: list[np.ndarray],
    chosen: list[int],
) -> dict:
    """The rows of some windows, and where in each an answer may begin and end."""
    tokens, starts, size = [], [], 0
    for window in chosen:
        one = passages[cut.pair[window]]
        begin, length = int(cut.begin[window]), int(cut.size[window])
        tokens += [one.question[: cut.question[window]], one.context[begin : begin + length]]
        starts.append(size)
        size += len(tokens[-2]) + length
    starts = np.array(starts, np.int64)
    questions, sizes = cut.question[chosen], cut.size[chosen]
    laid = make_pairs_batch(
        row,
        facts,
        np.concatenate(tokens),
        (starts, questions),
        (starts + questions, sizes),
        np.ones(len(chosen), np.int64),
    )
    may_end = np.zeros((len(chosen), row.length), bool)
    may_start = np.zeros_like(may_end)
    for i, window in enumerate(chosen):
        first, begin = int(context_begins(questions[i])), int(cut.begin[window])
        may_end[i, first : first + sizes[i]] = True
        mine = best_in[cut.pair[window]][begin : begin + int(sizes[i])] == window
        may_start[i, first : first + sizes[i]] = mine
    return {"encoder": laid["encoder"], "starts": may_start, "ends": may_end}


def _best(passage: Passage, spans: list[tuple[float, int, int]], *others: float) -> Answer:
    """The best span; others: scores of what else there is to choose."""
    if not spans:
        return Answer("", 0.0)
    # Of equal scores the first span; the order of windows in batches must not show.
    spans = sorted(spans, key=lambda span: (-span[0], *span[1:]))[:N_BEST]
    score, first, last = spans[0]
    begin, end = passage.offsets[first, 0], passage.offsets[last, 1]
    whole = logsumexp([*(one for one, _, _ in spans), *others])
    return Answer(passage.text[begin:end].strip(), float(score - whole))


def _best_or_none(
    passage: Passage, spans: list[tuple[float, int, int]], null: float, threshold: float
) -> Answer:
    """The best span, or "" where there is none or `null` is more than the threshold above it."""
    best = _best(passage, spans, null)
    top = max((score for score, _, _ in spans), default=-np.inf)
    if null - top <= threshold:
        return best
    return Answer("", float(best.log_probability + null - top) if spans else 0.0)


def _program(decoder, cfg: ExtractiveSpans):
    """Returns (params, arrays) -> (the score of [CLS] twice [B], the best spans of each row), jitted."""

    def program(params, arrays):
        logits = place_logits(decoder.model, params, arrays["encoder"])
        may = arrays["starts"], arrays["ends"]
        return logits[:, :, 0].sum(axis=1), *best_spans(logits, *may, cfg.answer_length, N_BEST)

    return decoder.jitted(("spans", cfg.answer_length), program)


def tell_spans(decoder, params, batch: dict, count: int) -> Iterator[str]:
    """Yields a batch's first rows with the model's likeliest span beside the true one."""
    tokenizer, rows = decoder.tokenizer, min(count, len(batch["targets"]))
    first = {name: part[:rows] for name, part in batch["encoder"].items()}
    inside = (first["types"] == 1) & (first["tokens"] != tokenizer.vocabulary.sep_id)
    program = _program(decoder, ExtractiveSpans())
    _, _, begin, end = jax.device_get(
        program(params, {"encoder": first, "starts": inside, "ends": inside})
    )
    for row, (start, last) in enumerate(batch["targets"][:rows]):
        if not batch["weights"][row].any():
            continue
        tokens = first["tokens"][row]
        truth = tokenizer.decode(tokens[start : last + 1], stop_at_eos=False) if start else None
        yield f"  text:  {tokenizer.decode(tokens, stop_at_eos=False)!r}"
        told = tokenizer.decode(tokens[begin[row][0] : end[row][0] + 1], stop_at_eos=False)
        yield f"  model: {told!r}"
        yield f"  truth: {truth!r}"
