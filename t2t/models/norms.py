"""Norms over the width: root-mean-square, and the layer norm with mean and bias."""

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.parameters import Declare, wide


class RMSNorm(nnx.Module):
    """x / sqrt(mean(x^2) + epsilon) * scale over the last axis, mean and root in float32 (T5X).

    plus_one: the scale is one plus the stored weight, which begins at 0 (Gemma).
    """

    def __init__(self, declare: Declare, width: int, epsilon: float, plus_one: bool = False):
        begin = jax.nn.initializers.zeros if plus_one else jax.nn.initializers.ones
        self.scale = declare(begin, (width,), ("norm",))
        self.epsilon = epsilon
        self.plus_one = plus_one

    def __call__(self, x: jax.Array) -> jax.Array:
        y = x.astype(wide(x.dtype))
        y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + self.epsilon)
        if self.plus_one:  # before the cast: near one, bfloat16 has eight bits for the weight
            return (y * (1 + self.scale[...].astype(y.dtype))).astype(x.dtype)
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
    width = width or arch.d_model
    if arch.norm == "layer":
        return LayerNorm(declare, width, arch.norm_epsilon)
    return RMSNorm(declare, width, arch.norm_epsilon, plus_one=arch.norm == "rms_plus_one")
