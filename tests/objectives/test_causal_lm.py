"""Causal language modelling against what it must be, written out; packed and not."""

from types import SimpleNamespace

import numpy as np

from t2t.objectives import causal_lm
from t2t.objectives.config import CausalLM

VOCABULARY = SimpleNamespace(pad_id=0, eos_id=1, start_id=1)


def make(cfg, sizes, in_row, full=False):
    tokens, sizes = np.arange(10, 1000, dtype=np.uint16), np.asarray(sizes)
    starts = np.arange(len(sizes)) * 50
    return causal_lm.make_packed_batch(
        cfg, VOCABULARY, tokens, starts, sizes, np.asarray(in_row), None, full
    )


def test_a_full_row_reads_each_token_and_predicts_the_next():
    batch = make(CausalLM(6), [6, 6], [1, 1], full=True)
    assert set(batch) == {"decoder", "targets", "weights"} and set(batch["decoder"]) == {"tokens"}
    assert batch["decoder"]["tokens"].tolist() == [[1, *range(10, 15)], [1, *range(60, 65)]]
    assert batch["targets"].tolist() == [list(range(10, 16)), list(range(60, 66))]
    assert batch["weights"].tolist() == [[1.0] * 6] * 2
    assert batch["targets"].dtype == np.int32 and batch["weights"].dtype == np.float32


def test_packed_texts_begin_anew():
    batch = make(CausalLM(8), [3, 4, 8], [2, 1, 0])
    assert batch["decoder"]["tokens"][0].tolist() == [1, 10, 11, 1, 60, 61, 62, 0]
    assert batch["targets"][0].tolist() == [10, 11, 12, 60, 61, 62, 63, 0]
    assert batch["decoder"]["segments"][0].tolist() == [1, 1, 1, 2, 2, 2, 2, 0]
    assert batch["decoder"]["positions"][0].tolist() == [0, 1, 2, 0, 1, 2, 3, 0]
    assert batch["weights"].sum(axis=1).tolist() == [7, 8, 0]


def test_lengths():
    cfg = CausalLM(8)
    assert causal_lm.raw_length(cfg) == 8 and causal_lm.lengths(cfg) == (8, 8)
    assert causal_lm.always_full(cfg)
