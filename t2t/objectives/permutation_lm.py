"""Permutation language modelling for whole batches: targets are predicted in a random order (XLNet).

    encoder  text                  or      text of `reuse` tokens, segment, [SEP], segment, [SEP], [CLS]
    places   where targets stand in the row;  targets  what stands there, unmasked

A batch is as masked_lm's, but nothing is written over: `ranks` [B, L] of the encoder say what a place
sees, and `backward` [B] (with both_ways) which rows are a text from its end. Segment types are 0, 1 and that of a [CLS] that stands last (framing.py).
"""

import numpy as np

from t2t.data.vocabulary import BEGINS_WORD, SPECIAL, require_roles
from t2t.objectives import permutation, sentence_pairs
from t2t.objectives.config import PermutationLM
from t2t.objectives.framing import LAST_TYPE, added
from t2t.objectives.row_layout import RowLayout

# The first draws decide about the cut and whether the second segment is another document's.
_HEAD_DRAWS = 2


def _added(cfg: PermutationLM) -> int:
    return added(2) if cfg.pairs else 0


def raw_length(cfg: PermutationLM) -> int:
    """Raw tokens that fill a row."""
    return cfg.length - _added(cfg)


def stride(cfg: PermutationLM) -> int:
    """Tokens by which a row of a stream begins behind the row before it."""
    return cfg.reuse or raw_length(cfg)


def lengths_for(cfg: PermutationLM, raw: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (tokens with the special ones, predictions) of examples of `raw`; 0 for 0."""
    raw = np.asarray(raw, np.int64)
    tokens = (raw + _added(cfg)) * (raw > 0)
    return tokens, _budget(cfg, tokens) * (raw > 0)


def _budget(cfg: PermutationLM, tokens: np.ndarray) -> np.ndarray:
    """How many of an example's tokens are predicted."""
    most = cfg.predictions or cfg.length
    return np.minimum(np.maximum(np.rint(tokens / cfg.one_in), 1), most).astype(np.int64)


def lengths(cfg: PermutationLM) -> tuple[int, int]:
    """Returns (tokens, predictions) of a row."""
    return cfg.length, int(lengths_for(cfg, raw_length(cfg))[1])


def always_full(cfg: PermutationLM) -> bool:
    """Whether a row of `raw_length` tokens has no padding: another document's text may be shorter."""
    return not cfg.pairs


def check_vocabulary(cfg: PermutationLM, vocabulary, where: str = "objective") -> None:
    """Raises UserError where there are pairs and the vocabulary has no [CLS] or [SEP]."""
    require_roles(vocabulary, ("cls", "sep") if cfg.pairs else (), f"{where}.pairs")


def make_packed_batch(
    cfg: PermutationLM,
    vocabulary,
    tokens: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    examples_in_row: np.ndarray,
    draw,
    full: bool = False,
    other: tuple[np.ndarray, np.ndarray] | None = None,
    backward: np.ndarray | None = None,
) -> dict:
    """Draws targets and their order for examples e = tokens[starts[e] : starts[e] + sizes[e]].

    Row r [B] takes the next `examples_in_row[r]` of them. vocabulary.marks tell words and sentences.
    other: (starts, sizes) of other documents' text, for pairs. full: every row that has an example
    has one that fills it, and there are no `segments` and `positions`. backward [E]: which examples
    are their text from its last token to its first, all of a row or none.
    """
    width, spans = cfg.length, permutation.turns(cfg.length, cfg.one_in)
    bits = draw(_HEAD_DRAWS + 4 * spans + 2 * width)
    head_bits, bits = bits[:, :_HEAD_DRAWS], bits[:, _HEAD_DRAWS:]
    span_bits = [bits[:, i * spans : (i + 1) * spans] for i in range(4)]
    single_bits, order_bits = bits[:, 4 * spans : 4 * spans + width], bits[:, 4 * spans + width :]
    sizes = np.asarray(sizes, np.int64)
    head = sizes * cfg.reuse // raw_length(cfg)
    marks = np.frombuffer(vocabulary.marks, np.uint8)
    if backward is None:
        backward = np.zeros(sizes.shape, bool)
    rows, lengths_, types, added = _assemble(
        cfg, vocabulary, marks, tokens, starts, sizes, head, head_bits, other, backward
    )
    columns = rows.shape[1]
    place = np.arange(columns)
    inside = place < lengths_[:, None]
    maskable = inside & ~added & (marks[rows] & SPECIAL == 0)
    begins = maskable & (marks[rows] & BEGINS_WORD > 0)
    # Spans begin with words: they are drawn in the text as it was written.
    mirror = _mirrored(backward, head, lengths_, columns)
    turned = [np.take_along_axis(each, mirror, axis=1) for each in (begins, maskable)]

    most = lengths(cfg)[1]
    budget = _budget(cfg, lengths_)
    of_tail = budget * (lengths_ - head) // np.maximum(lengths_, 1)
    none, singles = np.zeros_like(head), single_bits[:, :columns]
    law = cfg.longest, cfg.one_in
    chosen = permutation.choose(*turned, head, lengths_, of_tail, *law, (*span_bits[:2], singles))
    if cfg.reuse:
        chosen |= permutation.choose(
            *turned, none, head, budget - of_tail, *law, (*span_bits[2:], singles)
        )
    chosen = np.take_along_axis(chosen, mirror, axis=1)
    part = ((place >= head[:, None]) & (cfg.reuse > 0)).astype(np.int64)
    ranks = permutation.ranks(chosen | added, part, order_bits[:, :columns])

    at = np.nonzero(chosen)
    side = RowLayout(examples_in_row, lengths_, cfg.length)
    predictions = RowLayout(examples_in_row, chosen.sum(axis=1), most)
    encoder = {
        "tokens": side.lay(rows[inside], int(vocabulary.pad_id)),
        "ranks": side.lay(ranks[inside], 0),
    }
    if types is not None:
        encoder["types"] = side.lay(types[inside], 0)
    if cfg.both_ways:
        of_row = np.minimum(np.cumsum(examples_in_row), max(len(sizes), 1)) - 1
        encoder["backward"] = backward[of_row].astype(np.int32)
    if not full:
        encoder |= side.segments_and_positions()
    return {
        "encoder": encoder,
        "places": predictions.lay(side.offsets[at[0]] + at[1], 0),
        "targets": predictions.lay(rows[at], int(vocabulary.pad_id)),
        "weights": predictions.filled.astype(np.float32),
    }


def _mirrored(
    backward: np.ndarray, head: np.ndarray, lengths_: np.ndarray, columns: int
) -> np.ndarray:
    """Returns where each place stands when both parts of the backward rows are turned: [E, W]."""
    place = np.arange(columns)
    part = head[:, None], lengths_[:, None]
    turned = np.where(place < part[0], part[0] - 1 - place, part[0] + part[1] - 1 - place)
    return np.where(backward[:, None] & (place < part[1]), turned, place)


def _from_end(
    tokens: np.ndarray, starts: np.ndarray, sizes: np.ndarray, width: int, backward: np.ndarray
) -> np.ndarray:
    """Returns tokens[starts : starts + sizes] as rows [E, width], the backward ones turned; behind a
    row's end stands anything."""
    column = np.arange(width)
    turned = (starts + sizes - 1)[:, None] - column
    place = np.where(backward[:, None], turned, starts[:, None] + column)
    return tokens.take(np.maximum(place, 0), mode="clip").astype(np.int32)


def _assemble(cfg, vocabulary, marks, tokens, starts, sizes, head, bits, other, backward):
    """Returns rows int32 [E, W] with special tokens, lengths [E], types [E, W] or None, added [E, W].

    added: which tokens are [SEP] or [CLS] put there.
    """
    width = int(sizes.max(initial=1))
    column = np.arange(width)
    text = _from_end(tokens, starts, sizes, width, backward)
    if not cfg.pairs:
        return text, sizes, None, np.zeros(text.shape, bool)
    # Behind the head, which of a backward row is the end of the text.
    rest = sizes - head
    at = np.where(backward, starts, starts + head)
    tail = _from_end(tokens, at, rest, width, backward)
    plain = _from_end(tokens, at, rest, width, np.zeros_like(backward))
    begins = sentence_pairs.sentence_begins(plain, rest, marks, vocabulary.eos_id)
    # What begins with token i of the text ends, from its end, before token size - i.
    ends = np.where(backward[:, None], rest[:, None] - column, column)
    begins = np.take_along_axis(begins, np.clip(ends, 0, width - 1), axis=1) & (ends > 0)
    other_sizes = np.minimum(other[1], width)
    foreign = _from_end(tokens, other[0], other_sizes, width, backward)
    both = np.concatenate([tail, foreign], axis=1)
    parts = sentence_pairs.next_sentence(begins, rest, bits, width, other_sizes)
    place = np.arange(width + _added(cfg))
    # Where the first segment, the second, and their [SEP]s end.
    first_end = (head + parts.first_size)[:, None]
    second_end = first_end + 1 + parts.second_size[:, None]
    in_second = place > first_end
    source = np.where(
        in_second,
        parts.second[:, None] + place - first_end - 1,
        parts.first[:, None] + place - head[:, None],
    )
    rows = np.take_along_axis(both, np.clip(source, 0, both.shape[1] - 1), axis=1).astype(np.int32)
    rows[:, :width] = np.where(column < head[:, None], text, rows[:, :width])
    ends = (place == first_end) | (place == second_end)
    last = place == second_end + 1
    rows[ends], rows[last] = np.int32(vocabulary.sep_id), np.int32(vocabulary.cls_id)
    types = np.where(last, LAST_TYPE, in_second).astype(np.int32)
    return rows, second_end[:, 0] + 2, types, ends | last
