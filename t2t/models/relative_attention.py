"""Transformer-XL's attention with XLNet's segments: what a query sees depends on how far it is.

    score(i, j) = (q_i + u) k_j + (q_i + v) W r(i - j) + (q_i + s) e(i, j)

r is a sinusoid of the distance, u, v and s are learned biases, e is one of two learned vectors: the
tokens are of one segment type, or not (arXiv:1901.02860, section 3.3; arXiv:1906.08237, section 2.5).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.attention import AttentionFunction, KeyValues, Visibility
from t2t.models.dropout import shared_axes
from t2t.models.initialization import initializer, residual_initializer
from t2t.models.parameters import Declare, Initializer, Linear, fan_in_normal, normal, wide


class Look(NamedTuple):
    """What the queries of a stream look at, the same in all layers."""

    visibility: Visibility
    # [B, T, S]: query and key are of different segment types; None: there are no segments.
    different: jax.Array | None = None
    # [B, T]: which of the row's positions each query is for; None: all of them, in their order.
    places: jax.Array | None = None


class _Bias(nnx.Module):
    """A vector added to queries, [heads * head_dim]."""

    def __init__(self, declare: Declare, size: int):
        self.bias = declare(normal, (size,), ("heads*kv",))


class _Table(nnx.Module):
    """A vector for tokens of one segment type and one for others, [2, heads * head_dim]."""

    def __init__(self, declare: Declare, init: Initializer, size: int):
        self.table = declare(init, (2, size), ("types", "heads*kv"))


class RelativeAttention(nnx.Module):
    """Projections and biases around an attention function, to which positions are a score's bias.

    No projection has a bias.
    """

    def __init__(self, arch: Architecture, declare: Declare, attention: AttentionFunction):
        inner = arch.heads * arch.head_dim
        init = initializer(arch, fan_in_normal)

        def projection() -> Linear:
            shape, axes = (arch.d_model, inner), ("embed", "heads*kv")
            return Linear(declare, init, shape, axes, arch.dtype)

        self.query, self.key, self.value, self.position = (projection() for _ in range(4))
        last, axes = residual_initializer(arch, fan_in_normal), ("heads*kv", "embed")
        self.out = Linear(declare, last, (inner, arch.d_model), axes, arch.dtype)
        self.content_query = _Bias(declare, inner)
        self.position_query = _Bias(declare, inner)
        self.segment_query = _Bias(declare, inner)
        self.segment_key = _Table(declare, normal, inner)
        self.head_dim = arch.head_dim
        self.dtype = arch.dtype
        self.rate = arch.dropout
        self.shared_axes = shared_axes(arch)
        self.attention = attention

    def keys(self, x: jax.Array, dropout_key: jax.Array | None = None) -> KeyValues:
        """Keys and values of x [B, S, E]."""
        return KeyValues(*(self._by_head(f(x, dropout_key)) for f in (self.key, self.value)))

    def distances(self, sinusoids: jax.Array, dropout_key: jax.Array | None = None) -> jax.Array:
        """Keys [.., R, H, D] of distances, from their sinusoids [.., R, E]."""
        return self._by_head(self.position(sinusoids, dropout_key))

    def __call__(
        self,
        x: jax.Array,
        keys: KeyValues,
        distances: jax.Array,
        look: Look,
        dropout_key: jax.Array | None = None,
    ) -> jax.Array:
        """x [B, T, E] attends to keys [B, S, H, D]; returns [B, T, E].

        distances [R, H, D]: those of distances S, S - 1, ... 1 - L, where the row has L positions,
        the last L of its S keys; [B, R, H, D] where rows are backward.
        """
        query = self._by_head(self.query(x, dropout_key))
        scale = self.head_dim**-0.5

        def with_bias(bias: _Bias) -> jax.Array:
            return (query + self._by_head(bias.bias[...].astype(self.dtype))) * scale

        def scores(equation: str, bias: _Bias, others: jax.Array) -> jax.Array:
            kind = wide(query.dtype)
            return jnp.einsum(equation, with_bias(bias), others, preferred_element_type=kind)

        of_far = "bthd,rhd->bhtr" if distances.ndim == 3 else "bthd,brhd->bhtr"
        far = scores(of_far, self.position_query, distances)
        length = keys.key.shape[1]
        every = look.places is None
        bias = of_all(far, length) if every else of_places(far, look.places, length)
        if look.different is not None:
            table = self._by_head(self.segment_key.table[...].astype(self.dtype))
            same, other = jnp.split(scores("bthd,nhd->bhtn", self.segment_query, table), 2, axis=-1)
            bias = bias + jnp.where(look.different[:, None], other, same)
        dropped = self.rate, dropout_key, self.shared_axes
        query = with_bias(self.content_query)
        y = self.attention(query, keys, bias, look.visibility, *dropped)
        return self.out(y.reshape(*x.shape[:-1], -1), dropout_key)

    def _by_head(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:-1], -1, self.head_dim)


def sinusoids(keys: int, positions: int, width: int, dtype: str) -> jax.Array:
    """[keys + positions, width] of distances keys, keys - 1, ... 1 - positions: sines, then cosines."""
    distance = jnp.arange(keys, -positions, -1, dtype=wide(dtype))
    frequency = 10000.0 ** (-jnp.arange(0, width, 2, dtype=wide(dtype)) / width)
    angles = distance[:, None] * frequency
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1).astype(dtype)


def mirrored(sinusoids: jax.Array, rows: jax.Array) -> jax.Array:
    """Sinusoids [R, E] of distances -> [B, R, E], those of the distances the other way round where
    rows [B] say so: their sines are the negative ones."""
    half = sinusoids.shape[-1] // 2
    other = jnp.concatenate([-sinusoids[:, :half], sinusoids[:, half:]], axis=-1)
    return jnp.where(rows[:, None, None] > 0, other, sinusoids)


def of_all(scores: jax.Array, keys: int) -> jax.Array:
    """Scores [.., T, R] by distance -> [.., T, keys] by key: each row begins a place before the last.

    Written as a reshape of the flat array with its first row cut off (Transformer-XL, appendix B).
    """
    *rest, queries, count = scores.shape
    flat = scores.reshape(*rest, queries * count)[..., queries:]
    return flat.reshape(*rest, queries, count - 1)[..., :keys]


def of_places(scores: jax.Array, places: jax.Array, keys: int) -> jax.Array:
    """Scores [B, H, P, R] by distance of queries at places [B, P] -> [B, H, P, keys] by key."""
    positions = scores.shape[-1] - keys

    def one(row: jax.Array, place: jax.Array) -> jax.Array:  # [H, R] -> [H, keys]
        return jax.lax.dynamic_slice_in_dim(row, positions - place, keys, axis=-1)

    return jax.vmap(jax.vmap(one, in_axes=(1, 0), out_axes=1))(scores, places)
