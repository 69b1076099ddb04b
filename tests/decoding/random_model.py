"""A tiny model of random weights, loud enough to write varied texts, and inputs for it."""

import jax
import numpy as np

from t2t.models.transformer import build


def architecture(family, **changes):
    sizes = {"vocab_size": 128, "d_model": 16, "heads": 2, "head_dim": 8, "d_ff": 24}
    layers = {"encoder_layers": 2, "decoder_layers": 2}
    return family.architecture("small", **{**sizes, **layers, **changes})


def random_params(model, seed, noise):
    """Its initial parameters, each moved by normal noise."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: leaf + noise * rng.normal(size=leaf.shape).astype(np.float32),
        jax.jit(model.init)(jax.random.key(seed)),
    )


def random_inputs(seed):
    """Encoder inputs {tokens, segments} [6, 15] of mixed lengths."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 15, 6)
    segments = (np.arange(15)[None] < lengths[:, None]).astype(np.int32)
    tokens = rng.integers(2, 128, (6, 15)).astype(np.int32) * segments
    return {"tokens": tokens, "segments": segments}


def setting(family, seed):
    """A model that ends rows early and late, its parameters, and inputs."""
    model = build(architecture(family))
    return model, random_params(model, seed, noise=0.3), random_inputs(seed)
