"""T5's span corruption for whole batches: NumPy, no loop over rows.

A row of L raw tokens keeps N of them and masks n in k spans. Written as chunks (gap i = kept tokens
before span i, and the kept tokens after the last span):

    encoder  gap 0, <s0>, gap 1, <s1>, ..., gap k, EOS      N + k + 1 tokens
    targets  <s0>, span 0, <s1>, span 1, ..., EOS           n + k + 1 tokens

T5 draws the lengths of gaps and spans as uniform compositions, gap k = 0: the first token is always
kept, the last always masked (t5 preprocessors.py, random_spans_noise_mask). Lengths round half to
even in float64, as T5's own length helper does.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from t2t.data.order import below
from t2t.errors import UserError
from t2t.objectives.config import SpanCorruption
from t2t.objectives.row_layout import lay_batch

# (number of uint32 draws) -> uint32 [E, number]; draw j of an example may depend on nothing else.
Draw = Callable[[int], np.ndarray]
# The first draws decide about the roll, then come the spans' and the gaps' in turn.
_ROLL_DRAWS = 2


def counts(cfg: SpanCorruption, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (kept, masked, spans), int64. A row of one token keeps it and has no span.

    The settings of `cfg` may be arrays [E], one of each example (see ul2.py).
    """
    raw = np.asarray(raw, np.int64)
    masked = np.rint(raw * cfg.noise_density).astype(np.int64)
    masked = np.minimum(np.maximum(masked, 1), raw - 1)
    masked = np.maximum(masked, 0)
    spans = np.rint(masked / cfg.mean_noise_span_length).astype(np.int64)
    spans = np.minimum(np.maximum(spans, 1), np.minimum(masked, raw - masked))
    return raw - masked, masked, spans


def lengths_for(cfg: SpanCorruption, raw: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (encoder, targets) lengths of examples of `raw` tokens, EOS included; 0 for 0."""
    kept, masked, spans = counts(cfg, raw)
    present = np.asarray(raw) > 0
    return present * (kept + spans + 1), present * (masked + spans + 1)


@functools.lru_cache
def raw_length(cfg: SpanCorruption) -> int:
    """Raw tokens that fill `inputs_length`: 568 for T5's (512, 0.15, 3)."""
    # One raw token more makes the inputs longer by 0 or 1, so the longest fit fills them exactly.
    raw = cfg.inputs_length - 1
    while True:
        ahead = np.arange(raw + 1, raw + 4097)
        fits = lengths_for(cfg, ahead)[0] <= cfg.inputs_length
        if not fits.all():
            return raw + int(np.argmin(fits))
        raw = int(ahead[-1])


def lengths(cfg: SpanCorruption) -> tuple[int, int]:
    """Returns (inputs, targets) lengths of a batch: (512, 114) for T5's settings."""
    inputs, targets = lengths_for(cfg, raw_length(cfg))
    return cfg.inputs_length, cfg.targets_length or int(targets)


def always_full(cfg: SpanCorruption) -> bool:
    """Whether a row of `raw_length` tokens fills encoder and decoder without padding."""
    inputs, targets = lengths_for(cfg, raw_length(cfg))
    return (int(inputs), int(targets)) == lengths(cfg)


def check_vocabulary(cfg: SpanCorruption, vocabulary, where: str = "objective") -> None:
    """Raises UserError unless the vocabulary has a sentinel for every span of a full row."""
    spans = int(counts(cfg, np.arange(1, raw_length(cfg) + 1))[2].max())
    have = len(vocabulary.sentinels)
    if spans > have:
        raise UserError(
            f"{where}: a row of {raw_length(cfg)} tokens has {spans} masked spans, but the "
            f"vocabulary has {have} sentinels; raise the tokenizer's extra_ids to at least {spans} "
            "or mean_noise_span_length, or shorten inputs_length"
        )


class Spans(NamedTuple):
    """How examples are masked. Arrays int64 [E, K + 1], K the most spans of any example."""

    gaps: np.ndarray  # kept tokens before span i; after the last span at i = spans
    masked: np.ndarray  # tokens of span i; 0 from i = spans on
    spans: np.ndarray  # [E]


def random_spans(cfg: SpanCorruption, lengths: np.ndarray, draw: Draw) -> Spans:
    """Draws the masks of examples of `lengths` [E] tokens (each at least 1)."""
    kept, masked, spans = counts(cfg, lengths)
    examples = len(lengths)
    most = int(spans.max(initial=0))
    bits = draw(_ROLL_DRAWS + 2 * max(most - 1, 0))
    parts = spans
    if cfg.random_roll:
        # The row begins inside a span with the probability of T5's roll; the span's two ends then
        # count as two, so one less is drawn and the row's lengths stay what they are.
        cut = below(bits[:, 0], lengths) < masked - spans
        cut &= spans > 1
        parts = spans - cut
    both = np.concatenate([masked, kept])
    segments = _compositions(both, np.concatenate([parts, parts]), most, bits[:, _ROLL_DRAWS:])
    runs = np.zeros((examples, most + 1), np.int64)
    gaps = np.zeros((examples, most + 1), np.int64)
    runs[:, :most], gaps[:, :most] = segments[:examples], segments[examples:]
    if most == 0:
        gaps[:, 0] = kept
    if cfg.random_roll:
        gaps, runs = _roll(gaps, runs, parts, spans, cut, bits[:, 1])
    return Spans(gaps, runs, spans)


def _compositions(total: np.ndarray, parts: np.ndarray, most: int, bits: np.ndarray) -> np.ndarray:
    """Uniform compositions of total [P] into parts [P] positive parts: int64 [P, most], 0 behind.

    The part starts are parts - 1 of the total - 1 inner places, chosen by Floyd's sampling (Bentley
    and Floyd 1987) for all problems at once: 2 picks a span, where a shuffle needs all places.
    `bits` [E, 2 * (most - 1)] serves problem e (even columns) and problem E + e (odd columns).
    """
    problems = len(total)
    if most == 0:
        return np.zeros((problems, 0), np.int64)
    picks = np.maximum(parts - 1, 0)
    places = np.maximum(total - 1, 0)
    base = np.cumsum(places) - places
    unused = int(places.sum())  # where picks of problems that need no more of them go
    turn = np.arange(most - 1)[:, None]
    last = places - picks + turn  # the place that the pick of this turn adds to the choice
    draws = np.concatenate([bits[:, 0::2], bits[:, 1::2]]).T
    active = turn < picks
    chosen = np.where(active, below(draws, np.maximum(last + 1, 1)) + base, unused)
    last = np.where(active, last + base, unused)
    taken = np.zeros(unused + 1, bool)
    for pick, instead in zip(chosen, last, strict=True):
        np.copyto(pick, instead, where=taken.take(pick))
        taken.put(pick, True)
    # Starts of the parts, ascending within each problem; unused ones stand at the end.
    starts = np.repeat(total[:, None], most + 1, axis=1)
    starts[:, 0] = 0
    used = np.arange(1, most) < parts[:, None]
    inner = np.flatnonzero(taken[:unused])
    starts[:, 1:most][used] = inner - np.repeat(base, picks) + 1
    return np.diff(starts, axis=1)


def _roll(gaps, runs, parts, spans, cut, bits) -> tuple[np.ndarray, np.ndarray]:
    """Turns the circle gap 0, span 0, gap 1, ... so that it begins elsewhere: [E, K + 1] each.

    T5 rolls the mask, so a row may begin or end inside a span; such a row's sentinels in inputs and
    targets then have different numbers and the inputs lose their last token. Here the same rows
    begin inside a span (`cut`), but its two ends get sentinels of their own. Other rows begin at a
    kept token or at the beginning of a span, all equally likely.
    """
    examples, width = gaps.shape
    kept, masked = gaps.sum(axis=1), runs.sum(axis=1)
    # The place where the row begins: the r-th token of a span that is not its first, for rows cut;
    # else the r-th of the kept tokens and whole spans.
    r = below(bits, np.maximum(np.where(cut, masked - parts, kept + parts), 1))
    width_of = np.where(cut[:, None], runs - (runs > 0), gaps + (runs > 0))
    ends = np.cumsum(width_of, axis=1)
    at = (ends <= r[:, None]).sum(axis=1)
    at = np.minimum(at, np.maximum(parts - 1, 0))
    rows = np.arange(examples)
    offset = r - (ends[rows, at] - width_of[rows, at])
    column = np.arange(width)
    turned = (at[:, None] + column) % np.maximum(parts, 1)[:, None]
    real = column < np.maximum(parts, 1)[:, None]
    gap = np.take_along_axis(gaps, turned, axis=1) * real
    run = np.take_along_axis(runs, turned, axis=1) * real
    # Whole: gap `at` is split in what remains of it and what the row ends with.
    whole = np.flatnonzero(~cut & (spans > 0))
    gap[whole, 0] -= offset[whole]
    gap[whole, spans[whole]] = offset[whole]
    # Cut: span `at` is split; the row begins with its rest and ends with its beginning.
    split = np.flatnonzero(cut)
    end = parts[split]
    gap[split, end] = gap[split, 0]
    gap[split, 0] = 0
    run[split, end] = offset[split] + 1
    run[split, 0] -= offset[split] + 1
    return gap, run


def make_batch(
    cfg: SpanCorruption, vocabulary, tokens: np.ndarray, lengths: np.ndarray, draw: Draw
) -> dict:
    """Corrupts rows tokens [B, L], of which the first `lengths` [B] count, one example a row.

    Returns a Batch without `sample`. A row of length 0 is all padding, with weights 0. Where every
    other row fills inputs and targets, there are no `segments` and `positions`.
    """
    rows, pitch = tokens.shape
    starts = np.arange(rows, dtype=np.int64) * pitch
    present = lengths > 0
    full = always_full(cfg) and bool(np.all(lengths[present] == raw_length(cfg)))
    return make_packed_batch(
        cfg, vocabulary, tokens.reshape(-1), starts, lengths, present.astype(np.int64), draw, full
    )


def make_packed_batch(
    cfg: SpanCorruption,
    vocabulary,
    tokens: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    examples_in_row: np.ndarray,
    draw: Draw,
    full: bool = False,
) -> dict:
    """Corrupts examples e = tokens[starts[e] : starts[e] + sizes[e]] and lays them into rows.

    Row r [B] takes the next `examples_in_row[r]` examples that are not empty; `draw` gives bits for
    all E of them. `full` says that every row that has an example has one of `raw_length` tokens,
    which fills it: then there are no `segments` and `positions`.
    """
    sizes = np.asarray(sizes, np.int64)
    if sizes.size and int(sizes.max()) > raw_length(cfg):
        raise ValueError(f"an example of {sizes.max()} tokens, over {raw_length(cfg)}")
    present = np.flatnonzero(sizes > 0)
    if len(present) < len(sizes):
        starts, sizes = starts[present], sizes[present]
        spans = random_spans(cfg, sizes, lambda count: draw(count)[present])
    else:
        spans = random_spans(cfg, sizes, draw)
    encoder, targets = chunks(vocabulary, tokens, starts, spans)
    encoder_lengths, targets_lengths = lengths_for(cfg, sizes)
    return lay_batch(
        vocabulary,
        encoder,
        encoder_lengths,
        targets,
        targets_lengths,
        examples_in_row,
        lengths(cfg),
        full,
    )


def chunks(
    vocabulary, tokens: np.ndarray, starts: np.ndarray, spans: Spans
) -> tuple[np.ndarray, np.ndarray]:
    """Returns encoder tokens and targets of all examples, one behind the other (int32, flat)."""
    gaps, runs, count = spans
    column = np.arange(gaps.shape[1])
    valid = column <= count[:, None]
    ids = np.full(gaps.shape[1], vocabulary.eos_id, np.int32)
    sentinels = np.asarray(vocabulary.sentinels, np.int32)
    if len(sentinels) < gaps.shape[1] - 1:
        raise ValueError(f"{gaps.shape[1] - 1} spans, but {len(sentinels)} sentinels")
    ids[:-1] = sentinels[: gaps.shape[1] - 1]
    marks = np.where(column == count[:, None], np.int32(vocabulary.eos_id), ids)[valid]
    both = gaps + runs
    source = starts[:, None] + np.cumsum(both, axis=1) - both

    # Each chunk is a run of consecutive tokens with a mark behind (encoder) or before (targets): an
    # output place's source is the place plus the chunk's offset; marks are written over afterwards.
    def gather(size, begin, mark_at_end):
        size = (size + 1) * valid
        at = (np.cumsum(size.ravel()) - size.ravel()).reshape(size.shape)
        places = np.repeat((begin - at).ravel(), size.ravel())
        places += np.arange(len(places))
        flat = tokens.take(places, mode="clip").astype(np.int32, copy=False)
        flat[(at + size - 1 if mark_at_end else at)[valid]] = marks
        return flat

    return gather(gaps, source, True), gather(runs, source + gaps - 1, False)
