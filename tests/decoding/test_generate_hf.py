"""Greedy and beam search write what `transformers.generate` writes, token for token, in float32.

Their beam search divides by length ** penalty and ours by ((5 + length) / 6) ** penalty, and they
let unfinished hypotheses compete at the longest length. Where all texts are equally long, or nothing
is divided and the best has ended, both do the same.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.decoding.beam import beam
from t2t.decoding.config import Beam
from t2t.decoding.greedy import greedy
from t2t.decoding.scoring import target_log_probabilities
from t2t.models.families import mt5, t5, t5_1_1
from t2t.models.transformer import build
from tests.decoding.random_model import architecture, random_inputs
from tests.models import test_parity_hf as logits

pytestmark = pytest.mark.slow

LONGEST, BEAMS = 20, 4


@pytest.fixture(scope="module", params=[t5, t5_1_1, mt5], ids=["t5", "t5_1_1", "mt5"])
def both(request):
    """Our model and parameters, theirs, and inputs of mixed lengths."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    arch = architecture(request.param)
    theirs = logits.reference(transformers, torch, request.param, arch, noise=0.3).float()
    tensors = {name: t.detach().numpy() for name, t in theirs.state_dict().items()}
    params = logits.ours(request.param, arch, tensors)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    return build(arch), params, theirs, random_inputs(seed=8)


def generated(theirs, encoder, eos_id, **search) -> np.ndarray:
    """[rows, at most LONGEST] tokens, zeros after the end."""
    import torch

    theirs.generation_config.eos_token_id = eos_id
    theirs.generation_config.pad_token_id = 0
    return theirs.generate(
        input_ids=torch.tensor(encoder["tokens"]).long(),
        attention_mask=torch.tensor(encoder["segments"]),
        max_new_tokens=LONGEST,
        do_sample=False,
        **search,
    ).numpy()[:, 1:]


def common_end(written: np.ndarray) -> int:
    """The token that, as an end, cuts most rows somewhere inside."""
    inside = [set(row[1:-1].tolist()) - {0} for row in written]
    return max(set().union(*inside), key=lambda token: sum(token in row for row in inside))


def test_greedy(both):
    model, params, theirs, encoder = both
    free = generated(theirs, encoder, None)
    for eos_id in (None, common_end(free)):
        want = generated(theirs, encoder, eos_id)
        got = jax.jit(
            lambda p, e, i=-1 if eos_id is None else eos_id: greedy(model, p, e, LONGEST, eos_id=i)
        )(params, encoder)
        tokens = np.asarray(got.tokens[:, 0])
        np.testing.assert_array_equal(tokens[:, : want.shape[1]], want)
        assert (tokens[:, want.shape[1] :] == 0).all()
    assert (want == 0).any()


def test_beam_without_an_end(both):
    model, params, theirs, encoder = both
    want = generated(theirs, encoder, None, num_beams=BEAMS, num_return_sequences=BEAMS)
    config = Beam(beams=BEAMS, n_best=BEAMS)
    got = jax.jit(lambda p, e: beam(model, p, e, LONGEST, config, eos_id=-1))(params, encoder)
    np.testing.assert_array_equal(np.asarray(got.tokens).reshape(-1, LONGEST), want)


def test_beam_with_an_end_and_nothing_divided(both):
    model, params, theirs, encoder = both
    eos_id = common_end(generated(theirs, encoder, None, num_beams=BEAMS))
    want = generated(theirs, encoder, eos_id, num_beams=BEAMS, length_penalty=0.0)
    config = Beam(beams=BEAMS, length_penalty=0.0)
    got = jax.jit(lambda p, e: beam(model, p, e, LONGEST, config, eos_id=eos_id))(params, encoder)
    same = []
    for row, other in enumerate(want.tolist()):
        if eos_id in other:  # after which they fill up with the end, not with padding
            other = other[: other.index(eos_id) + 1]
            mine = got.tokens[row, 0, : int(got.lengths[row, 0])].tolist()
            same.append(mine == other)
            inputs = {k: v[row : row + 1] for k, v in encoder.items()}
            log_p = target_log_probabilities(model, params, inputs, jnp.array([[other]])).sum()
            # They drop an end that is not among the best BEAMS of 2 * BEAMS candidates.
            assert mine == other or got.log_probabilities[row, 0].sum() > log_p
    assert sum(same) >= 2
