"""Pairs as a batch: worked by hand, packed and one a row; the same loss a token in both."""

import jax
import numpy as np
import pytest

from t2t.data.vocabulary import Vocabulary
from t2t.errors import UserError
from t2t.models.architecture import Architecture
from t2t.models.transformer import build
from t2t.objectives import text_to_text
from t2t.objectives.config import SpanCorruption, TextToText
from t2t.objectives.implementations import of_pairs

VOCABULARY = Vocabulary(size=100, sentinels=(), fingerprint="v")
# Two pairs in a store, with tokens of others around: 10 11 12 -> 20 and 30 31 32 33 -> 40 41.
TOKENS = np.array([99, 10, 11, 12, 20, 98, 97, 30, 31, 32, 33, 40, 41, 96], np.int32)
INPUTS = np.array([1, 7]), np.array([3, 4])
TARGETS = np.array([4, 11]), np.array([1, 2])


def batch_of(cfg, examples_in_row, inputs=INPUTS, targets=TARGETS):
    in_row = np.array(examples_in_row)
    return text_to_text.make_pairs_batch(cfg, VOCABULARY, TOKENS, inputs, targets, in_row)


def assert_is(batch, expected):
    flat = {
        f"{name}/{key}": value
        for name, part in batch.items()
        for key, value in (part if isinstance(part, dict) else {"": part}).items()
    }
    assert {name: array.tolist() for name, array in flat.items()} == expected
    for name, array in flat.items():
        assert array.dtype == (np.float32 if name == "weights/" else np.int32)


def test_one_pair_a_row_by_hand():
    assert_is(
        batch_of(TextToText(6, 4), [1, 1, 0]),
        {
            "encoder/tokens": [[10, 11, 12, 1, 0, 0], [30, 31, 32, 33, 1, 0], [0] * 6],
            "encoder/segments": [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0], [0] * 6],
            "encoder/positions": [[0, 1, 2, 3, 0, 0], [0, 1, 2, 3, 4, 0], [0] * 6],
            "decoder/tokens": [[0, 20, 0, 0], [0, 40, 41, 0], [0] * 4],
            "decoder/segments": [[1, 1, 0, 0], [1, 1, 1, 0], [0] * 4],
            "decoder/positions": [[0, 1, 0, 0], [0, 1, 2, 0], [0] * 4],
            "targets/": [[20, 1, 0, 0], [40, 41, 1, 0], [0] * 4],
            "weights/": [[1, 1, 0, 0], [1, 1, 1, 0], [0] * 4],
        },
    )


def test_two_pairs_in_a_row_by_hand():
    assert_is(
        batch_of(TextToText(10, 6), [2]),
        {
            "encoder/tokens": [[10, 11, 12, 1, 30, 31, 32, 33, 1, 0]],
            "encoder/segments": [[1, 1, 1, 1, 2, 2, 2, 2, 2, 0]],
            "encoder/positions": [[0, 1, 2, 3, 0, 1, 2, 3, 4, 0]],
            "decoder/tokens": [[0, 20, 0, 40, 41, 0]],
            "decoder/segments": [[1, 1, 2, 2, 2, 0]],
            "decoder/positions": [[0, 1, 0, 1, 2, 0]],
            "targets/": [[20, 1, 40, 41, 1, 0]],
            "weights/": [[1, 1, 1, 1, 1, 0]],
        },
    )


def test_what_is_too_long_is_cut_and_still_ends():
    cfg = TextToText(3, 2)
    inputs, targets = text_to_text.cut(cfg, INPUTS[1], TARGETS[1])
    assert (inputs.tolist(), targets.tolist()) == ([2, 2], [1, 1])
    batch = batch_of(cfg, [1, 1], (INPUTS[0], inputs), (TARGETS[0], targets))
    assert batch["encoder"]["tokens"].tolist() == [[10, 11, 1], [30, 31, 1]]
    assert batch["targets"].tolist() == [[20, 1], [40, 1]]


def test_empty_texts_are_an_eos():
    none, some = (INPUTS[0], np.array([0, 0])), (TARGETS[0], np.array([0, 2]))
    batch = batch_of(TextToText(4, 4), [2], none, some)
    assert batch["encoder"]["tokens"].tolist() == [[1, 1, 0, 0]]
    assert batch["targets"].tolist() == [[1, 40, 41, 1]]
    assert batch["decoder"]["tokens"].tolist() == [[0, 0, 40, 41]]


def test_what_does_not_fit_its_row_is_an_error():
    with pytest.raises(ValueError, match="a row of 5 tokens, over 4"):
        batch_of(TextToText(9, 4), [2])


def test_packed_and_unpacked_rows_have_the_same_loss_a_token():
    model = build(
        Architecture(
            vocab_size=100,
            d_model=16,
            heads=2,
            head_dim=8,
            d_ff=32,
            encoder_layers=2,
            decoder_layers=2,
        )
    )
    params = model.init(jax.random.key(0))

    def losses(batch):
        parts = {name: batch[name] for name in ("encoder", "decoder")}
        logits = model.logits(params, model.forward(params, parts)[0])
        logits = np.asarray(logits, np.float64)
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        picked = np.take_along_axis(log_p, batch["targets"][..., None], -1)[..., 0]
        return -picked[batch["weights"] > 0]

    packed, alone = (
        losses(batch_of(TextToText(12, 8), [2])),
        losses(batch_of(TextToText(7, 5), [1, 1])),
    )
    assert len(packed) == 5
    np.testing.assert_allclose(packed, alone, rtol=0, atol=1e-5)
    # They would differ if a pair saw the other.
    mixed = batch_of(TextToText(12, 8), [2])
    mixed["encoder"]["segments"] = np.minimum(mixed["encoder"]["segments"], 1)
    mixed["decoder"]["segments"] = np.minimum(mixed["decoder"]["segments"], 1)
    assert np.abs(losses(mixed) - alone).max() > 1e-3


def test_tasks_take_the_lengths_of_the_runs_objective():
    assert of_pairs(SpanCorruption()) == TextToText(512, 114)
    assert of_pairs(SpanCorruption(targets_length=128)) == TextToText(512, 128)
    assert of_pairs(TextToText(7, 5)) == TextToText(7, 5)


@pytest.mark.parametrize("key", ["inputs_length", "targets_length"])
def test_a_length_without_room_for_a_token_is_refused(key):
    with pytest.raises(UserError, match=rf"^config\.objective\.{key}: 1 is not in"):
        TextToText(**{key: 1}).check("config.objective")
