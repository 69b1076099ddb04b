"""Pairs for a decoder alone and for an encoder alone: worked by hand, packed and one a row."""

import jax
import numpy as np
import pytest

from t2t.data.vocabulary import Vocabulary
from t2t.errors import UserError
from t2t.models.architecture import DECODER, ENCODER, ENCODER_DECODER
from t2t.objectives.config import CausalLM, Cloze, Continuation, MaskedLM, TextToText
from t2t.objectives.implementations import batch_shapes, implementation, of_pairs, posed
from t2t.wiring.choice import loss_functions
from tests.objectives.test_packed_loss import _Run, model_of
from tests.objectives.test_text_to_text import INPUTS, TARGETS, TOKENS, assert_is

VOCABULARY = Vocabulary(
    100, (), "v", pad_id=0, eos_id=1, bos_id=5, cls_id=6, sep_id=7, mask_id=8
)  # fmt: skip


def batch_of(cfg, examples_in_row, inputs=INPUTS, targets=TARGETS):
    in_row = np.array(examples_in_row)
    return implementation(cfg).make_pairs_batch(cfg, VOCABULARY, TOKENS, inputs, targets, in_row)


def test_a_decoder_alone_reads_both_as_one_text():
    assert_is(
        batch_of(Continuation(14, 14, 14), [2, 0]),
        {
            "decoder/tokens": [[5, 10, 11, 12, 20, 5, 30, 31, 32, 33, 40, 41, 0, 0], [0] * 14],
            "decoder/segments": [[1] * 5 + [2] * 7 + [0] * 2, [0] * 14],
            "decoder/positions": [[*range(5), *range(7), 0, 0], [0] * 14],
            "targets/": [[10, 11, 12, 20, 1, 30, 31, 32, 33, 40, 41, 1, 0, 0], [0] * 14],
            "weights/": [[0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0], [0] * 14],
        },
    )


def test_an_encoder_alone_is_asked_at_masks():
    assert_is(
        batch_of(Cloze(16, 4), [2, 0]),
        {
            "encoder/tokens": [
                [6, 10, 11, 12, 8, 7, 6, 30, 31, 32, 33, 8, 8, 7, 0, 0],
                [0] * 16,
            ],
            "encoder/segments": [[1] * 6 + [2] * 8 + [0] * 2, [0] * 16],
            "encoder/positions": [[*range(6), *range(8), 0, 0], [0] * 16],
            "places/": [[4, 11, 12, 0], [0] * 4],
            "targets/": [[20, 40, 41, 0], [0] * 4],
            "weights/": [[1, 1, 1, 0], [0] * 4],
        },
    )


@pytest.mark.parametrize("cfg", [Continuation(6, 4, 3), Continuation(5, 9, 9), Cloze(6, 1)])
def test_a_target_has_room_before_its_input(cfg):
    module = implementation(cfg)
    inputs, targets = module.cut(cfg, INPUTS[1], TARGETS[1])
    sizes = module.sizes(cfg, inputs, targets)
    assert (sizes <= module.lengths(cfg)).all() and (targets >= 1).all()
    batch = batch_of(cfg, [1, 1], (INPUTS[0], inputs), (TARGETS[0], targets))
    assert (batch["weights"].sum(axis=1) == sizes[:, 1]).all()
    told = batch_shapes(cfg, 2, full=False)
    del told["sample"]
    assert told == jax.tree.map(lambda x: (x.shape, x.dtype.type), batch)


def test_what_text_to_text_is_for_each_model():
    cfg = TextToText(7, 5)
    assert posed(cfg, ENCODER_DECODER) is cfg
    assert posed(cfg, DECODER) == Continuation(12, 7, 5) and posed(cfg, ENCODER) == Cloze(7, 5)
    assert posed(CausalLM(8), DECODER) == CausalLM(8)
    assert of_pairs(CausalLM(8)) == Continuation(8, 8, 8)
    assert of_pairs(MaskedLM(64)) == Cloze(64, 10) and of_pairs(Cloze(7, 5)) == Cloze(7, 5)
    bare = Vocabulary(100, (), "v")
    with pytest.raises(UserError, match=r"has no \[MASK\]"):
        implementation(Cloze(7, 5)).check_vocabulary(Cloze(7, 5), bare)


@pytest.mark.parametrize("cfg", [Continuation(20, 20, 20), Cloze(24, 8)])
def test_packed_and_unpacked_rows_have_the_same_loss_a_token(cfg):
    model, params = model_of(cfg.suits, False)

    def loss(in_row, spoil=False):
        batch = batch_of(cfg, in_row)
        for side in {"encoder", "decoder"} & set(batch) if spoil else ():
            batch[side]["segments"] = np.minimum(batch[side]["segments"], 1)
        total, (sums, _) = loss_functions(_Run(TextToText()), model)[1]({}, params, {}, batch, None)
        return float(total / sums["weight"])

    assert loss([2]) == pytest.approx(loss([1, 1]), abs=1e-5)
    assert abs(loss([2], spoil=True) - loss([1, 1])) > 1e-4
