"""Span corruption against T5's published lengths and a slow, readable T5 written here."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from t2t.data.order import random_bits
from t2t.errors import UserError
from t2t.objectives import span_corruption as sc
from t2t.objectives.config import SpanCorruption

# A row of the property test has up to 2,000 tokens, so up to 1,000 spans.
VOCABULARY = SimpleNamespace(
    size=32000, pad_id=0, eos_id=1, unk_id=2, sentinels=tuple(range(31999, 29999, -1))
)
FIRST_SENTINEL, LAST_SENTINEL = 31999, 30000


def is_sentinel(ids: int) -> bool:
    return LAST_SENTINEL <= ids <= FIRST_SENTINEL


def make(cfg, tokens, lengths, seed=0, samples=None):
    samples = np.arange(len(tokens)) if samples is None else samples
    draw = functools.partial(random_bits, seed, "test", samples)
    return sc.make_batch(cfg, VOCABULARY, tokens, np.asarray(lengths), draw)


def masks(cfg, lengths, seed=0):
    """bool [E, max(lengths)]: which raw tokens are masked, from the drawn spans."""
    lengths = np.asarray(lengths)
    draw = functools.partial(random_bits, seed, "test", np.arange(len(lengths)))
    spans = sc.random_spans(cfg, lengths, draw)
    result = np.zeros((len(lengths), lengths.max()), bool)
    for e, length in enumerate(lengths):
        parts = np.stack([spans.gaps[e], spans.masked[e]], axis=1).reshape(-1)
        kinds = np.tile([False, True], len(parts) // 2)
        result[e, :length] = np.repeat(kinds, parts)
    return result, spans


def t5(tokens, mask, sentinels):
    """T5's noise_span_to_unique_sentinel on one row, then EOS."""
    result, span = [], -1
    for i, token in enumerate(tokens):
        if not mask[i]:
            result.append(token)
        elif i == 0 or not mask[i - 1]:
            span += 1
            result.append(sentinels[span])
    return [*result, 1]


def real(row):
    """A row without its padding."""
    return row[: np.flatnonzero(row != 0)[-1] + 1] if row.any() else row[:0]


def put_together(inputs, targets):
    """Every sentinel of the inputs replaced by what follows it in the targets."""
    assert inputs[-1] == 1 and targets[-1] == 1
    spans, current = {}, None
    for token in targets[:-1]:
        if is_sentinel(token):
            assert token not in spans
            current = spans.setdefault(int(token), [])
        else:
            current.append(token)
    result = []
    for token in inputs[:-1]:
        result += spans.pop(int(token)) if is_sentinel(token) else [token]
    assert not spans
    return result


@pytest.mark.parametrize(
    ("settings", "raw", "targets"),
    [
        ((512, 0.15, 3.0), 568, 114),
        ((1024, 0.15, 3.0), 1137, 229),
        ((1024, 0.15, 20.0), 1193, 189),
        ((256, 0.15, 3.0), 284, 58),
        ((128, 0.15, 3.0), 141, 29),
        ((512, 0.5, 8.0), 908, 512),
        ((512, 0.5, 3.0), 767, 513),
        # Ablations of the T5 paper's table 7 (t5_facts): mean spans 2, 5, 10.
        ((512, 0.15, 2.0), None, 126),
        ((512, 0.15, 5.0), None, 105),
        ((512, 0.15, 10.0), None, 99),
    ],
)
def test_lengths_are_those_of_t5(settings, raw, targets):
    inputs, density, mean = settings
    cfg = SpanCorruption(inputs, noise_density=density, mean_noise_span_length=mean)
    cfg.check("objective")
    assert raw is None or sc.raw_length(cfg) == raw
    assert sc.lengths(cfg) == (inputs, targets)
    assert sc.always_full(cfg)


def test_lengths_equal_t5s_loop():
    """T5's random_spans_helper, grown one token at a time in plain Python."""
    for inputs in range(8, 300, 7):
        for density in (0.1, 0.15, 0.3, 0.5):
            for mean in (1.5, 3.0, 8.0):

                def helper(length, density=density, mean=mean):
                    noise = int(round(length * density))
                    spans = int(round(noise / mean))
                    return length - noise + spans + 1, noise + spans + 1

                length = inputs - 1
                while helper(length + 1)[0] <= inputs:
                    length += 1
                noise = helper(length)
                if round(length * density / mean) < 1:
                    continue  # there T5's helper forgets that a row has at least one span
                cfg = SpanCorruption(inputs, noise_density=density, mean_noise_span_length=mean)
                assert sc.raw_length(cfg) == length, cfg
                assert sc.lengths(cfg) == noise, cfg


def test_a_full_batch_has_no_segments_and_fills_everything():
    cfg = SpanCorruption()
    rng = np.random.default_rng(0)
    tokens = rng.integers(3, 29000, (16, 568)).astype(np.int32)
    batch = make(cfg, tokens, np.full(16, 568))
    assert set(batch["encoder"]) == set(batch["decoder"]) == {"tokens"}
    assert batch["encoder"]["tokens"].shape == (16, 512)
    assert batch["targets"].shape == batch["weights"].shape == (16, 114)
    assert batch["weights"].dtype == np.float32 and batch["weights"].min() == 1
    assert batch["encoder"]["tokens"].dtype == batch["targets"].dtype == np.int32
    assert (batch["encoder"]["tokens"][:, -1] == 1).all() and (batch["targets"][:, -1] == 1).all()
    decoder = batch["decoder"]["tokens"]
    assert (decoder[:, 0] == 0).all()
    np.testing.assert_array_equal(decoder[:, 1:], batch["targets"][:, :-1])
    # T5: the first token is always kept, the last always masked.
    np.testing.assert_array_equal(batch["encoder"]["tokens"][:, 0], tokens[:, 0])
    np.testing.assert_array_equal(batch["targets"][:, -2], tokens[:, -1])


@pytest.mark.parametrize("roll", [False, True])
def test_inputs_and_targets_together_are_the_original(roll):
    """3,000 random settings (of 10 rows, of random lengths)."""
    rng = np.random.default_rng(1 + roll)
    for trial in range(3000):
        cfg = SpanCorruption(
            inputs_length=int(rng.integers(4, 200)),
            noise_density=float(rng.uniform(0.01, 0.9)),
            mean_noise_span_length=float(rng.uniform(1, 12)),
            random_roll=roll,
        )
        cfg.check("objective")
        raw = sc.raw_length(cfg)
        lengths = rng.integers(0, raw + 1, 10)
        lengths[0] = raw
        tokens = rng.integers(3, 29000, (10, raw)).astype(np.int32)
        batch = make(cfg, tokens, lengths, seed=trial)
        encoder_lengths, targets_lengths = sc.lengths_for(cfg, lengths)
        for r in range(10):
            inputs, targets = real(batch["encoder"]["tokens"][r]), real(batch["targets"][r])
            assert (len(inputs), len(targets)) == (encoder_lengths[r], targets_lengths[r])
            assert batch["weights"][r].sum() == len(targets)
            if lengths[r]:
                together = put_together(inputs.tolist(), targets.tolist())
                assert together == tokens[r, : lengths[r]].tolist(), (cfg, lengths[r])
            if "segments" in batch["encoder"]:
                segments = batch["encoder"]["segments"][r]
                assert segments.sum() == len(inputs) and (segments[: len(inputs)] == 1).all()


def test_equal_to_t5s_algorithm_on_the_same_masks():
    rng = np.random.default_rng(2)
    for trial in range(200):
        cfg = SpanCorruption(
            inputs_length=int(rng.integers(8, 150)),
            noise_density=float(rng.uniform(0.05, 0.6)),
            mean_noise_span_length=float(rng.uniform(1, 8)),
        )
        raw = sc.raw_length(cfg)
        lengths = rng.integers(2, raw + 1, 6)
        tokens = rng.integers(3, 29000, (6, raw)).astype(np.int32)
        batch = make(cfg, tokens, lengths, seed=trial)
        mask, _ = masks(cfg, lengths, seed=trial)
        for r, length in enumerate(lengths):
            row, hidden = tokens[r, :length].tolist(), mask[r, :length]
            assert real(batch["encoder"]["tokens"][r]).tolist() == t5(
                row, hidden, VOCABULARY.sentinels
            )
            assert real(batch["targets"][r]).tolist() == t5(row, ~hidden, VOCABULARY.sentinels)


def test_counts_of_masked_tokens_and_spans():
    cfg = SpanCorruption()
    for roll in (False, True):
        mask, spans = masks(SpanCorruption(random_roll=roll), np.full(2000, 568))
        assert (mask.sum(axis=1) == 85).all() and (spans.spans == 28).all()
        starts = mask & ~np.pad(mask, ((0, 0), (1, 0)))[:, :-1]
        assert (starts.sum(axis=1) == 28).all()
    assert sc.lengths_for(cfg, 568) == (512, 114)
    # Half to even: 10 * 0.15 = 1.5 -> 2 and 30 * 0.15 = 4.5 -> 4 masked.
    masked = [int(masks(cfg, [n])[0].sum()) for n in (10, 30)]
    assert masked == [2, 4]


def test_segmentations_are_uniform():
    """7 masked of 17 tokens in 3 spans: C(6,2) * C(9,2) = 540 masks, equally often (chi-square)."""
    cfg = SpanCorruption(inputs_length=14, noise_density=0.4, mean_noise_span_length=2.5)
    number = 540 * 60
    mask, spans = masks(cfg, np.full(number, 17), seed=5)
    assert (mask.sum(axis=1) == 7).all() and (spans.spans == 3).all()
    codes = mask @ (1 << np.arange(17))
    found, counts = np.unique(codes, return_counts=True)
    assert len(found) == 540
    statistic = ((counts - 60.0) ** 2 / 60).sum()
    # 539 degrees of freedom: mean 539, standard deviation 32.8.
    assert abs(statistic - 539) < 4 * 32.8


def test_spans_have_the_same_distribution_everywhere_with_roll():
    number = 40000
    mask, _ = masks(SpanCorruption(inputs_length=64, random_roll=True), np.full(number, 70))
    rate = mask.mean(axis=0)
    share = mask[0].sum() / 70
    # Without the roll the first token has rate 0 and the last rate 1.
    assert abs(rate[0] - share) < 0.01 and abs(rate[-1] - share) < 0.01
    assert np.abs(rate - share).max() < 0.02
    plain, _ = masks(SpanCorruption(inputs_length=64), np.full(100, 70))
    assert not plain[:, 0].any() and plain[:, -1].all()


def test_roll_begins_inside_spans_as_often_as_t5s():
    mask, spans = masks(SpanCorruption(random_roll=True), np.full(20000, 568))
    both_ends = mask[:, 0] & mask[:, -1]
    assert abs(both_ends.mean() - (85 - 28) / 568) < 0.01


def test_a_row_depends_on_its_own_sample_alone():
    rng = np.random.default_rng(3)
    for roll in (False, True):
        cfg = SpanCorruption(inputs_length=64, random_roll=roll)
        raw = sc.raw_length(cfg)
        tokens = rng.integers(3, 29000, (32, raw)).astype(np.int32)
        lengths = rng.integers(0, raw + 1, 32)
        whole = make(cfg, tokens, lengths, samples=np.arange(100, 132))
        for r in range(32):
            alone = make(cfg, tokens[r : r + 1], lengths[r : r + 1], samples=np.array([100 + r]))
            for side in ("encoder", "decoder"):
                np.testing.assert_array_equal(alone[side]["tokens"][0], whole[side]["tokens"][r])
            np.testing.assert_array_equal(alone["targets"][0], whole["targets"][r])


def test_empty_and_tiny_rows():
    cfg = SpanCorruption(inputs_length=32)
    tokens = np.full((4, sc.raw_length(cfg)), 7, np.int32)
    batch = make(cfg, tokens, [0, 1, 2, 3])
    assert real(batch["encoder"]["tokens"][0]).size == 0 and batch["weights"][0].sum() == 0
    assert real(batch["encoder"]["tokens"][1]).tolist() == [7, 1]
    assert real(batch["targets"][1]).tolist() == [1]
    assert real(batch["encoder"]["tokens"][2]).tolist() == [7, FIRST_SENTINEL, 1]
    assert real(batch["targets"][2]).tolist() == [FIRST_SENTINEL, 7, 1]
    empty = make(cfg, tokens, [0, 0, 0, 0])
    assert set(empty["encoder"]) == {"tokens"} and not empty["weights"].any()
    full = make(cfg, tokens, [tokens.shape[1], 0, 0, tokens.shape[1]])
    assert set(full["encoder"]) == {"tokens"}
    assert full["weights"].sum(axis=1).astype(bool).tolist() == [True, False, False, True]


def test_longer_targets_pad():
    cfg = SpanCorruption(targets_length=128)
    assert sc.lengths(cfg) == (512, 128) and not sc.always_full(cfg)
    tokens = np.full((2, 568), 9, np.int32)
    batch = make(cfg, tokens, [568, 568])
    assert batch["targets"].shape == (2, 128)
    assert (batch["weights"].sum(axis=1) == 114).all()
    np.testing.assert_array_equal(batch["decoder"]["segments"], batch["weights"].astype(np.int32))
    assert (batch["decoder"]["positions"][:, :114] == np.arange(114)).all()


def test_packed_examples_equal_unpacked_ones():
    cfg = SpanCorruption(inputs_length=64, random_roll=True)
    rng = np.random.default_rng(4)
    raw = sc.raw_length(cfg)
    lengths = np.array([raw, 20, 30, 5, 40, 12])
    in_row = np.array([1, 3, 0, 2])
    flat = rng.integers(3, 29000, int(lengths.sum())).astype(np.int32)
    starts = np.cumsum(lengths) - lengths
    draw = functools.partial(random_bits, 0, "test", np.arange(6))
    packed = sc.make_packed_batch(cfg, VOCABULARY, flat, starts, lengths, in_row, draw)
    tokens = np.zeros((6, raw), np.int32)
    for e in range(6):
        tokens[e, : lengths[e]] = flat[starts[e] : starts[e] + lengths[e]]
    single = make(cfg, tokens, lengths)
    e = 0
    for row, count in enumerate(in_row):
        for segment in range(1, count + 1):
            for side in ("encoder", "decoder", "targets"):
                a, b = (
                    batch["targets"] if side == "targets" else batch[side]["tokens"]
                    for batch in (packed, single)
                )
                where = packed["encoder" if side == "encoder" else "decoder"]["segments"][row]
                where = where == segment
                np.testing.assert_array_equal(a[row][where], b[e][: where.sum()])
                assert where.sum() == sc.lengths_for(cfg, lengths[e])[side != "encoder"]
            positions = packed["decoder"]["positions"][row][where]
            np.testing.assert_array_equal(positions, np.arange(where.sum()))
            assert packed["decoder"]["tokens"][row][where][0] == 0
            e += 1
    assert not packed["weights"][2].any() and not packed["encoder"]["segments"][2].any()
    np.testing.assert_array_equal(packed["weights"] > 0, packed["decoder"]["segments"] > 0)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"inputs_length": 3}, "inputs_length"),
        ({"noise_density": 0.0}, "noise_density"),
        ({"noise_density": 1.0}, "noise_density"),
        ({"noise_density": float("nan")}, "noise_density"),
        ({"noise_density": 0.9999999}, "noise_density"),
        ({"mean_noise_span_length": 0.5}, "mean_noise_span_length"),
        ({"mean_noise_span_length": float("inf")}, "mean_noise_span_length"),
        ({"targets_length": 113}, "targets_length"),
        ({"targets_length": 0}, "targets_length"),
    ],
)
def test_wrong_settings_are_named(change, key):
    with pytest.raises(UserError, match=rf"^config\.objective\.{key}: "):
        SpanCorruption(**change).check("config.objective")


def test_too_few_sentinels():
    few = SimpleNamespace(sentinels=tuple(range(100)))
    sc.check_vocabulary(SpanCorruption(), few)
    with pytest.raises(UserError, match="171 masked spans, but the vocabulary has 100"):
        sc.check_vocabulary(SpanCorruption(inputs_length=3072), few)
