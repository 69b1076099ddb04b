"""Root-mean-square norm."""

import jax
import jax.numpy as jnp
from flax import nnx

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
