"""UL2's denoisers against T5's slow one, counted on real text; the modes' tokens."""

import functools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from t2t.data.order import random_bits
from t2t.errors import UserError
from t2t.objectives import span_corruption, ul2
from t2t.objectives.config import UL2, UL2_DENOISERS, Denoiser, SpanCorruption
from tests.objectives.real_text import books
from tests.objectives.test_span_corruption import put_together, real, t5

SENTINELS = tuple(range(31999, 31799, -1))
MODES = {"[NLU]": 32000, "[NLG]": 32001, "[S2S]": 32002}
VOCABULARY = SimpleNamespace(
    size=32003, pad_id=0, eos_id=1, unk_id=2, sentinels=SENTINELS, named=tuple(MODES.items())
)
CFG = UL2(inputs_length=128, targets_length=128)
OF_MODE = {"R": "[NLU]", "X": "[NLG]", "S": "[S2S]"}


def make(cfg, tokens, sizes, in_row=None):
    cfg.check("objective")
    examples = len(sizes)
    in_row = np.ones(examples, np.int64) if in_row is None else np.asarray(in_row)
    starts = np.arange(examples) * tokens.shape[1]
    draw = functools.partial(random_bits, 3, "test", np.arange(examples))
    return ul2.make_packed_batch(
        cfg, VOCABULARY, tokens.reshape(-1), starts, np.asarray(sizes), in_row, draw
    )


def slow(cfg, tokens, number):
    """One example: the denoiser of its draw, its mask as T5 writes it. Returns (denoiser, rows)."""
    draw = functools.partial(random_bits, 3, "test", np.array([number]))
    share, edge = int(draw(1)[0, 0]) / 2.0**32, 0.0
    for denoiser in cfg.denoisers:
        edge += denoiser.rate / sum(d.rate for d in cfg.denoisers)
        if share < edge:
            break
    length = len(tokens)
    if denoiser.mean_noise_span_length is None:
        noise = max(1, min(length - 1, round(length * denoiser.noise_density)))
        mask = [i >= length - noise for i in range(length)]
    else:
        settings = SpanCorruption(
            noise_density=denoiser.noise_density,
            mean_noise_span_length=denoiser.mean_noise_span_length,
        )
        later = lambda count: draw(count + 1)[:, 1:]
        spans = span_corruption.random_spans(settings, np.array([length]), later)
        parts = np.stack([spans.gaps[0], spans.masked[0]], axis=1).reshape(-1)
        mask = np.repeat(np.tile([False, True], len(parts) // 2), parts).tolist()
    inputs = t5(tokens, mask, SENTINELS)
    targets = t5(tokens, [not m for m in mask], SENTINELS)
    # T5's targets: what is masked, each span behind its sentinel; the kept text is left out.
    targets, span = [], -1
    for i, token in enumerate(tokens):
        if mask[i]:
            if i == 0 or not mask[i - 1]:
                span += 1
                targets.append(SENTINELS[span])
            targets.append(token)
    mode = [MODES[OF_MODE[denoiser.mode]]] if cfg.mode_tokens else []
    return denoiser, mode + inputs, [*targets, 1]


@pytest.mark.parametrize("cfg", [CFG, UL2(64, 64, mode_tokens=())])
def test_equals_a_slow_readable_one_packed_and_not(cfg):
    raw = ul2.raw_length(cfg)
    rng = np.random.default_rng(0)
    tokens = rng.integers(3, 31000, (60, raw)).astype(np.int32)
    sizes = rng.integers(2, raw // 2 - 8, 60)
    sizes[::3] = raw
    expected = [slow(cfg, tokens[e, : sizes[e]].tolist(), e) for e in range(60)]
    alone = make(cfg, tokens, sizes)
    packed = make(cfg, tokens, sizes, [1, 2] * 20)
    for e, (_, inputs, targets) in enumerate(expected):
        assert real(alone["encoder"]["tokens"][e]).tolist() == inputs
        assert real(alone["targets"][e]).tolist() == targets
        row, segment = 2 * (e // 3) + (e % 3 > 0), 1 + (e % 3 == 2)
        there = packed["encoder"]["segments"][row] == segment
        assert packed["encoder"]["tokens"][row][there].tolist() == inputs
        there = packed["decoder"]["segments"][row] == segment
        assert packed["targets"][row][there].tolist() == targets
        assert packed["decoder"]["tokens"][row][there].tolist() == [0, *targets[:-1]]


def test_denoisers_are_mixed_by_their_rates_on_real_text(shared_data):
    """Which denoiser made a row is told by its mode, density and number of spans."""
    _, documents = books(str(shared_data / "corpora" / "books.validation.jsonl.gz"))
    tokens, raw, rows = np.concatenate(documents) + 5, ul2.raw_length(CFG), 2000
    text = np.stack([tokens[i * 40 : i * 40 + raw] for i in range(rows)])
    cfg = UL2(128, 128, denoisers=(*UL2_DENOISERS[:6], Denoiser("X", 0.5, 64.0, rate=3.0)))
    batch = make(cfg, text, np.full(rows, raw))
    found, kinds = {}, {}
    for d in cfg.denoisers:
        kept, masked, spans = span_corruption.counts(
            ul2._Settings(d.noise_density, d.mean_noise_span_length or 1e9), raw
        )
        kinds[MODES[OF_MODE[d.mode]], int(masked), int(spans)] = d
    for row in range(rows):
        inputs, targets = (real(batch[k][row]) for k in ("targets", "targets"))
        inputs = real(batch["encoder"]["tokens"][row])
        spans = int(np.isin(targets, SENTINELS).sum())
        kind = kinds[int(inputs[0]), len(targets) - spans - 1, spans]
        found[kind] = found.get(kind, 0) + 1
        if kind.mode == "S":  # a prefix, then all the rest
            assert inputs[-2] == SENTINELS[0] and targets[0] == SENTINELS[0]
        assert put_together(inputs[1:].tolist(), targets.tolist()) == text[row].tolist()
    for d in cfg.denoisers:
        p = d.rate / 9.0
        assert abs(found[d] / rows - p) < 4 * math.sqrt(p * (1 - p) / rows), d


def test_rows_fit_whichever_denoiser_is_drawn():
    for inputs, targets in ((512, 512), (128, 128), (256, 64)):
        cfg = UL2(inputs, targets)
        raw = ul2.raw_length(cfg)
        for raws, fits in ((np.arange(raw + 1), True), (np.array([raw + 1]), False)):
            longest = ul2.lengths_for(cfg, raws)
            assert (longest[0].max() <= inputs and longest[1].max() <= targets) == fits
    # R with spans of 3 is the first to fill its inputs: 482 kept, 28 sentinels, EOS and the mode.
    assert ul2.raw_length(UL2()) == 567


def test_what_the_vocabulary_lacks_is_named():
    ul2.check_vocabulary(UL2(), VOCABULARY)
    with pytest.raises(UserError, match=r"no special token \[NLU\], \[NLG\], \[S2S\]"):
        ul2.check_vocabulary(UL2(), SimpleNamespace(**{**vars(VOCABULARY), "named": ()}))
    with pytest.raises(UserError, match="masked spans, but the vocabulary has 10 sentinels"):
        few = SimpleNamespace(**{**vars(VOCABULARY), "sentinels": SENTINELS[:10]})
        ul2.check_vocabulary(UL2(), few)
    with pytest.raises(UserError, match=r"denoisers\[0\].noise_density"):
        UL2(denoisers=(Denoiser("R", 1.5, 3.0),)).check("objective")
