"""Permutation language modelling for whole batches: targets are predicted in a random order (XLNet).

    encoder  text                  or      text of `reuse` tokens, segment, [SEP], segment, [SEP], [CLS]
    places   where targets stand in the row;  targets  what stands there, unmasked

A batch is as masked_lm's, but nothing is written over: `ranks` [B, L] of the encoder say what a place
sees. Segment types are 0, 1 and that of a [CLS] that stands last (framing.py).
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
) -> dict:
    """Draws targets and their order for examples e = tokens[starts[e] : starts[e] + sizes[e]].

    Row r [B] takes the next `examples_in_row[r]` of them. vocabulary.marks tell words and sentences.
    other: (starts, sizes) of other documents' text, for pairs. full: every row that has an example
    has one that fills it, and there are no `segments` and `positions`.
    """
    width, spans = cfg.length, permutation.turns(cfg.length, cfg.one_in)
    bits = draw(_HEAD_DRAWS + 4 * spans + 2 * width)
    head_bits, bits = bits[:, :_HEAD_DRAWS], bits[:, _HEAD_DRAWS:]
    span_bits = [bits[:, i * spans : (i + 1) * spans] for i in range(4)]
    single_bits, order_bits = bits[:, 4 * spans : 4 * spans + width], bits[:, 4 * spans + width :]
    sizes = np.asarray(sizes, np.int64)
    head = sizes * cfg.reuse // raw_length(cfg)
    marks = np.frombuffer(vocabulary.marks, np.uint8)
    rows, lengths_, types, added = _assemble(
        cfg, vocabulary, marks, tokens, starts, sizes, head, head_bits, other
    )
    columns = rows.shape[1]
    place = np.arange(columns)
    inside = place < lengths_[:, None]
    maskable = inside & ~added & (marks[rows] & SPECIAL == 0)
    begins = maskable & (marks[rows] & BEGINS_WORD > 0)

    most = lengths(cfg)[1]
    budget = _budget(cfg, lengths_)
    of_tail = budget * (lengths_ - head) // np.maximum(lengths_, 1)
    none, singles = np.zeros_like(head), single_bits[:, :columns]
    law = cfg.longest, cfg.one_in
    chosen = permutation.choose(
        begins, maskable, head, lengths_, of_tail, *law, (*span_bits[:2], singles)
    )
    if cfg.reuse:
        chosen |= permutation.choose(
            begins, maskable, none, head, budget - of_tail, *law, (*span_bits[2:], singles)
        )
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
    if not full:
        encoder |= side.segments_and_positions()
    return {
        "encoder": encoder,
        "places": predictions.lay(side.offsets[at[0]] + at[1], 0),
        "targets": predictions.lay(rows[at], int(vocabulary.pad_id)),
        "weights": predictions.filled.astype(np.float32),
    }


def _assemble(cfg, vocabulary, marks, tokens, starts, sizes, head, bits, other):
    """Returns rows int32 [E, W] with special tokens, lengths [E], types [E, W] or None, added [E, W].

    added: which tokens are [SEP] or [CLS] put there.
    """
    width = int(sizes.max(initial=0))
    column = np.arange(width)
    text = tokens.take(starts[:, None] + column, mode="clip").astype(np.int32)
    if not cfg.pairs:
        return text, sizes, None, np.zeros(text.shape, bool)
    tail = tokens.take((starts + head)[:, None] + column, mode="clip")
    begins = sentence_pairs.sentence_begins(tail, sizes - head, marks, vocabulary.eos_id)
    other_sizes = np.minimum(other[1], width)
    both = np.concatenate([tail, tokens.take(other[0][:, None] + column, mode="clip")], axis=1)
    parts = sentence_pairs.next_sentence(begins, sizes - head, bits, width, other_sizes)
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
