"""UL2's mixture of denoisers (arXiv:2205.05131), for whole batches.

Every denoiser is a span corruption: R with short spans, X with long ones or many, S with a single
span that ends the text, which makes it a prefix language model. Which one an example gets hangs on
the example alone. Its input begins with the token of its mode.
"""

import functools
from typing import NamedTuple

import numpy as np

from t2t.errors import UserError
from t2t.objectives import span_corruption
from t2t.objectives.config import UL2
from t2t.objectives.row_layout import lay_batch

_MODES = "RXS"
_ONE_SPAN = 1e9  # a mean span of which every example has one


class _Settings(NamedTuple):
    """What span corruption reads of its configuration, by example [E] or by denoiser."""

    noise_density: np.ndarray
    mean_noise_span_length: np.ndarray
    random_roll: bool = False


@functools.lru_cache
def _table(cfg: UL2) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns density, mean span, mode (index into mode_tokens) and upper end of the draw [D]."""
    density = np.array([d.noise_density for d in cfg.denoisers])
    mean = np.array([d.mean_noise_span_length or _ONE_SPAN for d in cfg.denoisers])
    mode = np.array([_MODES.index(d.mode) for d in cfg.denoisers])
    ends = np.cumsum([d.rate for d in cfg.denoisers])
    return density, mean, mode, ends[:-1] / ends[-1] * 2.0**32


def lengths_for(cfg: UL2, raw: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the most that inputs and targets of examples of `raw` tokens take; 0 for 0."""
    raw = np.asarray(raw, np.int64)
    density, mean, _, _ = _table(cfg)
    each = span_corruption.lengths_for(_Settings(density, mean), raw[..., None])
    inputs, targets = (most.max(axis=-1) for most in each)
    return inputs + bool(cfg.mode_tokens) * (raw > 0), targets


@functools.lru_cache
def raw_length(cfg: UL2) -> int:
    """The most raw tokens that fit inputs_length and targets_length whichever denoiser is drawn."""
    # A row of n tokens has n tokens or more in inputs and targets together.
    raw = np.arange(cfg.inputs_length + cfg.targets_length + 1)
    inputs, targets = lengths_for(cfg, raw)
    fits = (inputs <= cfg.inputs_length) & (targets <= cfg.targets_length)
    return int(np.flatnonzero(fits)[-1])


def lengths(cfg: UL2) -> tuple[int, int]:
    """Returns (inputs, targets) lengths of a batch."""
    return cfg.inputs_length, cfg.targets_length


def always_full(cfg: UL2) -> bool:
    """Whether rows have no padding: never, denoisers differ."""
    return False


def check_vocabulary(cfg: UL2, vocabulary, where: str = "objective") -> None:
    """Raises UserError unless the vocabulary has the modes' tokens and enough sentinels."""
    named = dict(vocabulary.named)
    absent = [name for name in cfg.mode_tokens if name not in named]
    if absent:
        raise UserError(
            f"{where}.mode_tokens: the vocabulary has no special token {', '.join(absent)}; name "
            "them in config.tokenizer.named, or leave them out with mode_tokens=()"
        )
    density, mean, _, _ = _table(cfg)
    raw = raw_length(cfg)
    spans = int(span_corruption.counts(_Settings(density, mean), raw)[2].max())
    if spans > len(vocabulary.sentinels):
        raise UserError(
            f"{where}: a row of {raw} tokens has up to {spans} masked spans, but the vocabulary has "
            f"{len(vocabulary.sentinels)} sentinels; raise the tokenizer's extra_ids, or shorten "
            "inputs_length and targets_length"
        )


def make_packed_batch(
    cfg: UL2,
    vocabulary,
    tokens: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    examples_in_row: np.ndarray,
    draw: span_corruption.Draw,
    full: bool = False,
) -> dict:
    """Denoises examples e = tokens[starts[e] : starts[e] + sizes[e]] and lays them into rows.

    Row r [B] takes the next `examples_in_row[r]` of them.
    """
    density, mean, mode, ends = _table(cfg)
    which = np.searchsorted(ends, draw(1)[:, 0], side="right")
    settings = _Settings(density[which], mean[which])
    spans = span_corruption.random_spans(settings, sizes, lambda count: draw(count + 1)[:, 1:])
    encoder, targets = span_corruption.chunks(vocabulary, tokens, starts, spans)
    inputs_lengths, targets_lengths = span_corruption.lengths_for(settings, sizes)
    if cfg.mode_tokens:
        named = dict(vocabulary.named)
        modes = np.array([named[name] for name in cfg.mode_tokens], np.int32)
        begin = np.cumsum(inputs_lengths) - inputs_lengths
        encoder = np.insert(encoder, begin, modes[mode[which]])
        inputs_lengths = inputs_lengths + 1
    return lay_batch(
        vocabulary,
        encoder,
        inputs_lengths,
        targets,
        targets_lengths,
        examples_in_row,
        lengths(cfg),
    )
