"""Rotary positions: pairs of a query or key turned by an angle that grows with the position."""

import jax
import jax.numpy as jnp

from t2t.models.parameters import wide


def rotate(x: jax.Array, positions: jax.Array, base: float) -> jax.Array:
    """x [B, T, H, D], positions [T] or [B, T] -> x turned (Su et al. 2021, section 3.4.2).

    Entry i and entry i + D/2 are a pair, as Llama and GPT-NeoX have it (the paper pairs neighbours);
    its angle is position * base^(-2i/D). In float32.
    """
    half = x.shape[-1] // 2
    kind = wide(x.dtype)
    speed = base ** (-jnp.arange(half, dtype=kind) / half)
    angle = positions.astype(kind)[..., None, None] * speed  # [T, 1, D/2] or [B, T, 1, D/2]
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    first, second = x[..., :half].astype(kind), x[..., half:].astype(kind)
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)
