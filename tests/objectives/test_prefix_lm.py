"""Prefix language modelling: texts put together again, and where they are cut, counted."""

import functools
import math
from types import SimpleNamespace

import numpy as np

from t2t.data.order import random_bits
from t2t.objectives import prefix_lm
from t2t.objectives.config import PrefixLM
from tests.objectives.test_span_corruption import real

VOCABULARY = SimpleNamespace(pad_id=0, eos_id=1)


def make(cfg, tokens, sizes, in_row):
    starts = np.arange(len(sizes)) * tokens.shape[1]
    draw = functools.partial(random_bits, 3, "test", np.arange(len(sizes)))
    return prefix_lm.make_packed_batch(
        cfg, VOCABULARY, tokens.reshape(-1), starts, np.asarray(sizes), np.asarray(in_row), draw
    )


def test_the_cut_is_uniform_and_nothing_is_lost():
    cfg, rows = PrefixLM(9), 14_000
    raw = prefix_lm.raw_length(cfg)
    assert raw == 8 and prefix_lm.lengths(cfg) == (9, 9)
    tokens = np.random.default_rng(0).integers(3, 30000, (rows, raw)).astype(np.int32)
    batch = make(cfg, tokens, np.full(rows, raw), np.ones(rows, np.int64))
    prefix = (batch["encoder"]["segments"] > 0).sum(axis=1) - 1
    for k in range(1, raw):
        assert abs((prefix == k).mean() - 1 / 7) < 4 * math.sqrt(1 / 7 * 6 / 7 / rows)
    for row in range(200):
        inputs, targets = real(batch["encoder"]["tokens"][row]), real(batch["targets"][row])
        assert inputs[-1] == targets[-1] == 1
        assert [*inputs[:-1], *targets[:-1]] == tokens[row].tolist()
        k = int(1 + (int(random_bits(3, "test", np.array([row]), 1)[0, 0]) * 7 >> 32))
        assert k == prefix[row]


def test_packed_rows_hold_the_same_examples():
    cfg, sizes = PrefixLM(24), [4, 9, 5, 6]
    tokens = np.arange(3, 3 + 4 * 10, dtype=np.int32).reshape(4, 10)
    alone, packed = make(cfg, tokens, sizes, [1] * 4), make(cfg, tokens, sizes, [2, 2])
    longest = prefix_lm.lengths_for(cfg, np.array(sizes))
    for e in range(4):
        there = packed["encoder"]["segments"][e // 2] == 1 + e % 2
        inputs = real(alone["encoder"]["tokens"][e])
        assert packed["encoder"]["tokens"][e // 2][there].tolist() == inputs.tolist()
        assert len(inputs) <= longest[0][e]
        there = packed["decoder"]["segments"][e // 2] == 1 + e % 2
        targets = real(alone["targets"][e])
        assert packed["targets"][e // 2][there].tolist() == targets.tolist()
        assert len(targets) <= longest[1][e]
