"""Norms over the width: root-mean-square, and the layer norm with mean and bias."""

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.parameters import Declare, wide


class RMSNorm(nnx.Module):
    """x / sqrt(mean(x^2) + epsilon) * scale over the last axis, mean and root in float32 (T5X)."""

    def __init__(self, declare: Declare, width: int, epsilon: float):
        self.scale = declare(jax.nn.initializers.ones, (width,), ("norm",))
        self.epsilon = epsilon

    def __call__(self, x: jax.Array) -> jax.Array:
        y = x.astype(wide(x.dtype))
        y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + self.epsilon)
        return y.astype(x.dtype) * self.scale[...].astype(x.dtype)


class LayerNorm(nnx.Module):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias (Ba et al. 2016), in float32."""

    def __init__(self, declare: Declare, width: int, epsilon: float):
        self.scale = declare(jax.nn.initializers.ones, (width,), ("norm",))
        self.bias = declare(jax.nn.initializers.zeros, (width,), ("norm",))
        self.epsilon = epsilon

    def __call__(self, x: jax.Array) -> jax.Array:
        y = x.astype(wide(x.dtype))
        y = y - jnp.mean(y, axis=-1, keepdims=True)
        y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + self.epsilon)
        return (y * self.scale[...] + self.bias[...]).astype(x.dtype)


def norm(arch: Architecture, declare: Declare, width: int | None = None) -> nnx.Module:
    """The architecture's kind of norm, over `width` (d_model unless told)."""
    kind = RMSNorm if arch.norm == "rms" else LayerNorm
    return kind(declare, width or arch.d_model, arch.norm_epsilon)
