"""Answers at masks: the scores are those of one forward pass a row, whatever the batch or the mesh."""

import dataclasses

import jax
import numpy as np
import pytest

from t2t.data.tokenizers import ByteTokenizer
from t2t.decoding.decode import make_decoder
from t2t.decoding.fill import tell_masks
from t2t.decoding.scoring import rank, score_each
from t2t.errors import UserError
from t2t.models.families import xlnet
from t2t.models.transformer import build
from tests.decoding.random_model import random_params
from tests.models.tiny_families import FAMILIES

ROWS = [np.arange(60, 60 + n).astype(np.int32) for n in (3, 14, 1, 30)]
CLS, SEP, MASK = 301, 302, 303
SHAPE = {"vocab_size": 384, "d_model": 16, "heads": 2, "head_dim": 8, "d_ff": 24}


def decoder_of(name):
    family = xlnet.architecture("base", dropout=0.0) if name == "xlnet" else FAMILIES[name]
    arch = dataclasses.replace(family, **SHAPE, encoder_layers=2)
    tokenizer = ByteTokenizer(125)
    tokenizer.vocabulary = dataclasses.replace(
        tokenizer.vocabulary, cls_id=CLS, sep_id=SEP, mask_id=MASK
    )
    return make_decoder(build(arch), tokenizer)


@pytest.mark.parametrize(
    "name",
    [
        "roberta",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("bert", "albert", "electra", "xlnet")),
    ],
)
def test_scores_are_those_of_a_forward_pass_a_row(name):
    decoder = decoder_of(name)
    model = decoder.model
    params = random_params(model, seed=1, noise=0.3)
    rng = np.random.default_rng(0)
    sizes = [(1, 1, 2), (3, 1, 1), (2, 2, 1, 3), (1,)]
    choices = [[rng.integers(5, 280, n).astype(np.int32) for n in of] for of in sizes]

    @jax.jit
    def logs(tokens, segments):
        batch = {"encoder": {"tokens": tokens, "segments": segments}}
        if name == "xlnet":  # every place is asked; what stands at the masks is seen by none
            batch["encoder"]["ranks"] = ranks = (tokens == MASK).astype(np.int32)
            batch["encoder"]["types"] = 2 * (tokens == CLS)
            batch["encoder"]["queried"] = np.arange(48)[None] + 0 * ranks
        hidden = model.forward(params, batch)[0]
        if name == "electra":  # the answer stands there: is it the original?
            return jax.nn.log_sigmoid(-model.replaced_logits(params, hidden))[..., None]
        return jax.nn.log_softmax(model.logits(params, hidden))

    def slow(row, answer):
        text = np.zeros((1, 48), np.int32)
        whole = [CLS, *row, *(answer if name == "electra" else [MASK] * len(answer)), SEP]
        whole = [*whole[1:], CLS] if name == "xlnet" else whole
        text[0, : len(whole)] = whole
        there = (np.arange(48) < len(whole))[None].astype(np.int32)
        found = np.asarray(logs(text, there))[0]
        kept = [0] * len(answer) if name == "electra" else answer
        first = len(row) + (name != "xlnet")
        return [found[first + i, token] for i, token in enumerate(kept)]

    for size in (8, 2):
        got = score_each(decoder, params, ROWS, choices, batch_size=size)
        for row, of, found in zip(ROWS, choices, got, strict=True):
            for answer, one in zip(of, found, strict=True):
                np.testing.assert_allclose(one.log_probabilities, slow(row, answer), atol=1e-5)
                assert one.score == pytest.approx(sum(one.log_probabilities))
    best = [one.best for one in rank(decoder, params, ROWS, choices)]
    want = [int(np.argmax([sum(slow(r, a)) for a in of])) for r, of in zip(ROWS, choices)]  # noqa: B905
    assert best == want


def test_what_cannot_be_asked_is_refused():
    decoder = decoder_of("roberta")
    with pytest.raises(UserError, match="input 0: its 61 tokens and an answer of 2 are more than"):
        score_each(decoder, {}, [np.ones(61, np.int32)], [[np.ones(2, np.int32)]])
    bare = make_decoder(decoder.model, ByteTokenizer(125))
    with pytest.raises(UserError, match=r"the model: the vocabulary has no \[MASK\]"):
        score_each(bare, {}, ROWS[:1], [[ROWS[0]]])


@pytest.mark.slow
@pytest.mark.parametrize("permuted", [True, False])
def test_what_queries_are_shown_to_tell_is_what_they_were_asked(permuted):
    """XLNet's rows, of a permuted text and of an answer behind an input: a query does not see itself."""
    decoder = decoder_of("xlnet")
    params = random_params(decoder.model, seed=1, noise=0.3)
    tokens = np.arange(60, 72, dtype=np.int32)[None].repeat(2, axis=0)
    places = np.array([[4, 7, 0], [2, 0, 0]], np.int32)
    weights = np.array([[1, 1, 0], [1, 0, 0]], np.float32)
    targets = np.take_along_axis(tokens, places, axis=1)
    encoder = {"tokens": tokens, "segments": np.ones_like(tokens)}
    if permuted:
        ranks = np.zeros_like(tokens)
        ranks[0, 4], ranks[0, 7], ranks[1, 2] = 1, 2, 1
        encoder["ranks"] = ranks
    batch = {"encoder": encoder, "places": places, "targets": targets, "weights": weights}
    lines = list(tell_masks(decoder, params, batch, 2))
    changed = tokens.copy()
    changed[0, 7], changed[1, 2] = 90, 91  # seen by no query
    other = {**batch, "encoder": {**encoder, "tokens": changed}}
    again = list(tell_masks(decoder, params, other, 2))
    assert lines[1::3] == again[1::3] and lines[0] != again[0]
