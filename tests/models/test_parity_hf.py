"""Logits of tiny random models equal `transformers` in float64, relative to the largest logit.

`transformers` takes the mean of squares of its norms in float32 whatever the model's type, which
these weights amplify to a few 1e-6. With that one line lifted to float64 (`exact`) nothing is left
but rounding, so the bar there is 1e-12; their code as it stands is held to 1e-6 on calmer weights.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.models.families import byt5, mt5, t5, t5_1_1, umt5
from t2t.models.transformer import build

pytestmark = pytest.mark.slow

TINY = {
    "vocab_size": 128,
    "d_model": 24,
    "heads": 3,
    "head_dim": 8,
    "d_ff": 40,
    "encoder_layers": 3,
    "decoder_layers": 2,
}
INPUTS, TARGETS = 150, 140  # both longer than the largest distance of the position buckets


@pytest.mark.parametrize("exact", [True, False], ids=["exact-norms", "as-it-stands"])
@pytest.mark.parametrize(
    ("family", "changes"),
    [
        (t5, {}),
        (t5_1_1, {}),
        (t5_1_1, {"activation": "silu"}),
        (mt5, {}),
        (byt5, {}),
        # transformers 5 scales umT5's logits although the published weights are not (t2t does not).
        (umt5, {"scaled_logits": True}),
    ],
    ids=["t5", "t5_1_1", "ul2-axes", "mt5", "byt5", "umt5"],
)
def test_logits_equal_transformers_in_float64(family, changes, exact):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    # T5's embedding dropout and dropped-out parts never matter here: eval mode on both sides.
    with jax.enable_x64(True):
        arch = family.architecture("small", **{**TINY, **changes, "dtype": "float64"})
        theirs = reference(transformers, torch, family, arch, noise=0.2 if exact else 0.05)
        if exact:
            lift_norms(torch, theirs)
        weights = {name: t.detach().numpy() for name, t in theirs.state_dict().items()}
        params = ours(family, arch, weights)
        batch, mask = padded_batch()
        model = build(arch)
        logits = jax.jit(lambda p, b: model.logits(p, model.forward(p, b)[0]))(params, batch)
        assert logits.dtype == jnp.float64
        with torch.no_grad():
            want = theirs(
                input_ids=torch.tensor(batch["encoder"]["tokens"]).long(),
                attention_mask=torch.tensor(batch["encoder"]["segments"]),
                decoder_input_ids=torch.tensor(batch["decoder"]["tokens"]).long(),
                decoder_attention_mask=torch.tensor(batch["decoder"]["segments"]),
            ).logits.numpy()
    assert want.dtype == np.float64
    error = np.abs(np.asarray(logits) - want)[mask].max() / np.abs(want[mask]).max()
    assert error <= (1e-12 if exact else 1e-6), error


def lift_norms(torch, model) -> None:
    """Has their RMS norms compute in the model's own type."""

    def forward(norm, x):
        variance = x.pow(2).mean(-1, keepdim=True)
        return norm.weight * (x * torch.rsqrt(variance + norm.variance_epsilon))

    norms = [m for m in model.modules() if hasattr(m, "variance_epsilon")]
    assert norms
    for norm in norms:
        norm.forward = functools.partial(forward, norm)


def reference(transformers, torch, family, arch, noise):
    """Their model with every weight moved off its initialisation."""
    name = {mt5: "MT5", umt5: "UMT5"}.get(family, "T5")
    activation = {"relu": "relu", "gelu_tanh": "gated-gelu", "silu": "gated-silu"}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=arch.vocab_size,
        d_model=arch.d_model,
        d_kv=arch.head_dim,
        d_ff=arch.d_ff,
        num_layers=arch.encoder_layers,
        num_decoder_layers=arch.decoder_layers,
        num_heads=arch.heads,
        feed_forward_proj=activation[arch.activation],
        decoder_start_token_id=0,
        attn_implementation="eager",
    )
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    if not arch.tied_embedding:
        # transformers 5 ties every T5 it creates; separate heads exist only as separate tensors.
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.shared.weight))
        if name == "T5":
            model.config.scale_decoder_outputs = arch.scaled_logits
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            moved = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise * moved)
    return model.double().eval()


def ours(family, arch, weights):
    """Their tensors under our names; nothing of ours may stay unset, nothing of theirs unused."""
    params = jax.tree.map(lambda s: np.full(s.shape, np.nan), build(arch).shapes)
    used = set()
    for weight in family.huggingface_weights(arch):
        leaf = params
        for part in weight.path[:-1]:
            leaf = leaf[part]
        tensor = weights[weight.name]
        tensor = tensor.T if weight.transposed else tensor
        if weight.layer is None:
            assert leaf[weight.path[-1]].shape == tensor.shape
            leaf[weight.path[-1]] = tensor
        else:
            assert leaf[weight.path[-1]].shape[1:] == tensor.shape
            leaf[weight.path[-1]][weight.layer] = tensor
        used.add(weight.name)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    copies = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}
    copies |= {"lm_head.weight"} if arch.tied_embedding else set()
    assert set(weights) - used <= copies
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)


def padded_batch():
    """Rows of mixed lengths; the mask [B, T] of target positions that are not padding."""
    rng = np.random.default_rng(0)
    batch = {}
    for stack, length, shorter in (
        ("encoder", INPUTS, (150, 131, 17)),
        ("decoder", TARGETS, (140, 9, 133)),
    ):
        segments = (np.arange(length)[None] < np.array(shorter)[:, None]).astype(np.int32)
        tokens = rng.integers(2, 128, segments.shape).astype(np.int32) * segments
        batch[stack] = {"tokens": tokens, "segments": segments}
    batch["decoder"]["tokens"][:, 0] = 0
    return batch, batch["decoder"]["segments"].astype(bool)
