"""A classifier's loss, its training through packed rows, and its answers are those of an example a row."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy.special import log_softmax, ndtr

from t2t.data.tokenizers import ByteTokenizer
from t2t.decoding.classify import classify
from t2t.decoding.decode import make_decoder
from t2t.models.families import xlnet
from t2t.models.transformer import build
from t2t.objectives.classes_config import Classified
from t2t.objectives.implementations import implementation
from t2t.wiring import classes
from tests.decoding.random_model import random_params
from tests.models.tiny_families import FAMILIES
from tests.objectives.test_classes import KNOWN, LABELS, SECONDS, TOKENS
from tests.objectives.test_text_to_text import INPUTS, TARGETS

SHAPE = {"vocab_size": 128, "d_model": 16, "heads": 2, "head_dim": 8, "d_ff": 24}
ROWS = [(TOKENS[1:4],), (TOKENS[7:11], TOKENS[5:7])]


def model_of(name):
    family = xlnet.architecture("base") if name == "xlnet" else FAMILIES[name]
    own = {"encoder_layers": 1, "pair_classes": 2, "dropout": 0.0}
    return build(dataclasses.replace(family, **SHAPE, **own))


@pytest.mark.parametrize("name", ["xlnet", pytest.param("electra", marks=pytest.mark.slow)])
def test_loss_and_answers_are_those_of_a_text_a_row(name):
    model = model_of(name)
    params = random_params(model, seed=1, noise=0.3)
    tokenizer = ByteTokenizer(9)
    tokenizer.vocabulary = KNOWN
    told = classify(make_decoder(model, tokenizer), params, ROWS, batch_size=1)
    np.testing.assert_allclose(np.exp(told).sum(axis=1), 1, rtol=1e-5)

    last = model.arch.summary_last
    cfg = Classified(LABELS, 32, last, types=model.arch.token_types > 1)
    loss_fn = jax.jit(classes.loss_function(model, 0.0, 0.0))
    for in_row in ([2, 0], [1, 1]):
        batch = implementation(cfg).make_pairs_batch(
            cfg, KNOWN, TOKENS, INPUTS, TARGETS, np.array(in_row), SECONDS
        )
        loss, (sums, _) = loss_fn(params, {}, {}, batch, None)
        assert loss == pytest.approx(-told[0][0] - told[1][1], rel=1e-5)
        assert sums["weight"] == 2 and sums["loss"] == loss
        assert sums["correct"] == sum(int(np.argmax(t) == i) for i, t in enumerate(told))

    # By hand: the state of [CLS], of its texts alone, pooled by tanh, ELECTRA's by GELU.
    pool = np.tanh if name == "xlnet" else lambda x: x * ndtr(x)
    hidden = jax.jit(lambda params, side: model.forward(params, {"encoder": side})[0])
    states = np.asarray(hidden(params, batch["encoder"]))
    head = jax.device_get(params["pair_head"])
    for row, (texts, one) in enumerate(zip(ROWS, told, strict=True)):
        state = states[row, sum(len(text) + 1 for text in texts) if name == "xlnet" else 0]
        pooled = pool(state @ head["pooler"]["kernel"] + head["pooler"]["bias"])
        logits = pooled @ head["classifier"]["kernel"] + head["classifier"]["bias"]
        np.testing.assert_allclose(log_softmax(logits), one, atol=1e-5)
