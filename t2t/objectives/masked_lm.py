"""Masked language modelling for whole batches, alone or with pairs of segments.

    encoder  [CLS], text, [SEP]      or      [CLS], segment, [SEP], segment, [SEP] (a dialogue: to three)
    places   where predictions stand in the row;  targets  what stood there

A batch has `encoder`, `places` [B, P], `targets` and `weights` [B, P], so that the head is applied to
what is predicted alone. With pairs also `types` [B, L] (1: second segment, or a response) and `pairs`: {`places`,
`targets`, `weights`} [B, P] of the examples' [CLS] (target 0: the segments are as they were).
"""

import numpy as np

from t2t.data.order import below
from t2t.data.span_marks import ID_BITS, IN_ENTITY, IN_PHRASE
from t2t.data.vocabulary import BEGINS_WORD, MASKING_ROLES, SPECIAL, require_roles
from t2t.objectives import masking, sentence_pairs
from t2t.objectives.dialogue import MOST_TURNS, choose_turns
from t2t.objectives.framing import added
from t2t.objectives.masking_config import ExternalSpans, MaskedLM, Tokens
from t2t.objectives.row_layout import RowLayout
from t2t.objectives.segment_rows import lay_segments

# The first draws decide about the length, the cut and the pair's label.
_HEAD_DRAWS = 4


def _added(cfg: MaskedLM) -> int:
    return added({"none": 1, "dialogue": MOST_TURNS}.get(cfg.pairs, 2))


def raw_length(cfg: MaskedLM) -> int:
    """Raw tokens that fill a row."""
    return cfg.length - _added(cfg)


def lengths_for(cfg: MaskedLM, raw: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (tokens with the special ones, most predictions) of examples of `raw`; 0 for 0."""
    raw = np.asarray(raw, np.int64)
    tokens = (raw + _added(cfg)) * (raw > 0)
    most = cfg.predictions or cfg.length
    # Units that are drawn for themselves may be twice as many as is to be expected.
    room = np.rint(tokens * cfg.rate) * (2 if isinstance(cfg.unit, ExternalSpans) else 1)
    return tokens, np.minimum(np.maximum(room, 1), most).astype(np.int64) * (raw > 0)


def lengths(cfg: MaskedLM) -> tuple[int, int]:
    """Returns (tokens, predictions) of a row."""
    return cfg.length, int(lengths_for(cfg, raw_length(cfg))[1])


def always_full(cfg: MaskedLM) -> bool:
    """Whether a row of `raw_length` tokens has no padding: another document's text may be shorter."""
    return cfg.short_share == 0 and not cfg.takes_other_text


def check_vocabulary(cfg: MaskedLM, vocabulary, where: str = "objective") -> None:
    """Raises UserError unless the vocabulary has [MASK], [CLS] and [SEP]."""
    require_roles(vocabulary, MASKING_ROLES, where)


def make_packed_batch(
    cfg: MaskedLM,
    vocabulary,
    tokens: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    examples_in_row: np.ndarray,
    draw,
    full: bool = False,
    other: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict:
    """Masks examples e = tokens[starts[e] : starts[e] + sizes[e]] and lays them into rows.

    Row r [B] takes the next `examples_in_row[r]` of them. vocabulary.marks tell words and sentences.
    other: (starts, sizes) of other documents' text, for next_sentence and dialogue. full: every row that has an
    example has one that fills it, and there are no `segments` and `positions`.
    """
    width, external = cfg.length, isinstance(cfg.unit, ExternalSpans)
    bits = draw(_HEAD_DRAWS + 4 * width + external)
    head, bits = bits[:, :_HEAD_DRAWS], bits[:, _HEAD_DRAWS:]
    sizes = np.asarray(sizes, np.int64)
    if cfg.short_share:
        short = (head[:, 0] / 2.0**32 < cfg.short_share) & (sizes > 2)
        sizes = np.where(short, 2 + below(head[:, 1], np.maximum(sizes - 1, 1)), sizes)
    marks = np.frombuffer(vocabulary.marks, np.uint8)
    rows, lengths_, types, label = _assemble(
        cfg, vocabulary, marks, tokens, starts, sizes, head, other
    )

    inside = np.arange(rows.shape[1]) < lengths_[:, None]
    maskable = inside & (marks[rows & ID_BITS] & SPECIAL == 0)
    most = lengths(cfg)[1]
    chosen, rows, originals = masked(cfg, vocabulary, rows, maskable, lengths_, bits)
    at = np.nonzero(chosen)

    side = RowLayout(examples_in_row, lengths_, cfg.length)
    predictions = RowLayout(examples_in_row, chosen.sum(axis=1), most)
    encoder = {"tokens": side.lay(rows[inside], int(vocabulary.pad_id))}
    if types is not None:
        encoder["types"] = side.lay(types[inside], 0)
    if not full:
        encoder |= side.segments_and_positions()
    batch = {
        "encoder": encoder,
        "places": predictions.lay(side.offsets[at[0]] + at[1], 0),
        "targets": predictions.lay(originals, int(vocabulary.pad_id)),
        "weights": predictions.filled.astype(np.float32),
    }
    if label is not None:
        pairs = RowLayout(examples_in_row, np.ones(len(sizes), np.int64), most)
        batch["pairs"] = {
            "places": pairs.lay(side.offsets, 0),
            "targets": pairs.lay(label, 0),
            "weights": pairs.filled.astype(np.float32),
        }
    return batch


def masked(
    cfg: MaskedLM,
    vocabulary,
    said: np.ndarray,
    maskable: np.ndarray,
    lengths_: np.ndarray,
    bits: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chooses tokens of rows [E, W] and writes over them.

    said: the rows, with marks beside the ids; maskable [E, W]; lengths_ [E] with special tokens; bits
    uint32 [E, 4 * length (+ 1 for external spans)]. Returns (which are chosen [E, W], the rows, what
    stood at the places chosen).
    """
    width, external = cfg.length, isinstance(cfg.unit, ExternalSpans)
    marks, rows = np.frombuffer(vocabulary.marks, np.uint8), said & ID_BITS
    begins = maskable.copy()
    if not isinstance(cfg.unit, Tokens):
        unit_here = marks[rows[:, 1:]] & BEGINS_WORD > 0
        if external:
            unit_here &= ~_goes_on(cfg.unit, said[:, 1:], bits[:, 4 * width])
        begins[:, 1:] &= unit_here | ~maskable[:, :-1]
    order, length, kind, token = (bits[:, i * width : (i + 1) * width] for i in range(4))
    if external:
        room = lengths_for(cfg, np.maximum(lengths_ - _added(cfg), 1))[1]
        chosen = masking.draw(begins, maskable, cfg.rate, room, order[:, : rows.shape[1]])
    else:
        # Of the tokens, special ones counted, as BERT does.
        budget = np.clip(np.rint(lengths_ * cfg.rate).astype(np.int64), 1, lengths(cfg)[1])
        if cfg.rarity:
            # A token that the training text lacks counts as one, as in distillation/train.py.
            counts = np.maximum(np.frombuffer(vocabulary.counts), 1.0) ** cfg.rarity
            order = masking.rare_first(order, begins, counts[rows])
        chosen = masking.choose(begins, maskable, budget, cfg.unit.longest, order, length)
    at = np.nonzero(chosen)
    originals = rows[at]
    ordinary = np.flatnonzero(marks & SPECIAL == 0).astype(np.int32)
    rows[at] = masking.replace(
        originals, cfg.masked, cfg.random, vocabulary.mask_id, ordinary, kind[at], token[at]
    )
    return chosen, rows, originals


def _goes_on(unit: ExternalSpans, said: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Which tokens belong to the phrase, or entity, of the one before: bool [E, W].

    said: tokens with their marks; bits uint32 [E] decide on each example's level.
    """
    level = bits / 2.0**32
    phrase, entity = level >= unit.basic, level >= unit.basic + unit.phrase
    bit = np.where(entity, IN_ENTITY, np.where(phrase, IN_PHRASE, 0))
    return said & bit[:, None] > 0


def _assemble(cfg, vocabulary, marks, tokens, starts, sizes, head, other):
    """Returns rows int32 [E, W] with special tokens, their lengths [E], types [E, W], labels [E].

    The last two are None without pairs.
    """
    width = int(sizes.max(initial=1))
    column = np.arange(width)
    text = tokens.take(starts[:, None] + column, mode="clip")
    place = np.arange(width + _added(cfg))
    cls, sep = np.int32(vocabulary.cls_id), np.int32(vocabulary.sep_id)
    if cfg.pairs == "none":
        lengths_ = sizes + _added(cfg)
        rows = np.concatenate(
            [np.full((len(sizes), 1), cls), text, np.full((len(sizes), 1), sep)], 1
        )
        rows[place >= (lengths_ - 1)[:, None]] = sep
        return rows.astype(np.int32), lengths_, None, None
    if cfg.takes_other_text:
        other_sizes = np.minimum(other[1], width)
        foreign = tokens.take(other[0][:, None] + column, mode="clip")
        both = np.concatenate([text, foreign], axis=1)
    if cfg.pairs == "dialogue":
        turns = choose_turns(text, sizes, head[:, 2:], foreign, other_sizes)
        rows, lengths_, segment, _ = lay_segments(both, turns.first, turns.size, vocabulary)
        return rows, lengths_, np.take_along_axis(turns.roles, segment, axis=1), turns.label
    begins = sentence_pairs.sentence_begins(text & ID_BITS, sizes, marks, vocabulary.eos_id)
    if cfg.pairs == "sentence_order":
        parts = sentence_pairs.sentence_order(begins, sizes, head[:, 2:])
    else:
        text = both
        parts = sentence_pairs.next_sentence(begins, sizes, head[:, 2:], width, other_sizes)
    first, second = parts.first_size[:, None], parts.second_size[:, None]
    in_second = place > first + 1
    source = np.where(
        in_second, parts.second[:, None] + place - first - 2, parts.first[:, None] + place - 1
    )
    rows = np.take_along_axis(text, np.clip(source, 0, text.shape[1] - 1), axis=1).astype(np.int32)
    rows[:, 0] = cls
    rows[(place == first + 1) | (place == first + second + 2)] = sep
    lengths_ = parts.first_size + parts.second_size + _added(cfg)
    return rows, lengths_, in_second.astype(np.int32), parts.label
