"""Multi-head attention: what may be seen, the plain product, and the layer with its cache."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.dropout import dropout, shared_axes
from t2t.models.initialization import initializer, residual_initializer
from t2t.models.parameters import Declare, Linear, fan_in_normal, wide
from t2t.models.rotary import rotate


class Visibility(NamedTuple):
    """What a query may look at, told by primitives; all None and False: everything.

    A fused kernel, a sharded length and a decoding cache read the same description; nobody but
    the attention function that needs one ever builds the [B, T, S] mask.
    """

    query_segments: jax.Array | None = None  # [B, T]; a query sees keys of its own segment only
    key_segments: jax.Array | None = None  # [B, S]
    causal: bool = False  # a query sees keys at its own position and before
    first_query: jax.Array | None = None  # position of query 0; None is 0
    prefix: jax.Array | None = None  # [B, S]; keys, not 0, that causal queries before them see too
    # How far a query sees: causal so many keys back, its own counted; else so many both ways.
    window: jax.Array | None = None
    query_ranks: jax.Array | None = None  # [B, T]; keys of a rank above the query's are hidden
    key_ranks: jax.Array | None = None  # [B, S]

    def mask(self, queries: int, keys: int) -> jax.Array | None:
        """Boolean, broadcastable to [B, H, T, S]; None when nothing is hidden."""
        mask = None
        if self.query_segments is not None and self.key_segments is not None:
            same = self.query_segments[:, :, None] == self.key_segments[:, None, :]
            mask = same[:, None]
        if self.causal:
            position = jnp.arange(queries) + (0 if self.first_query is None else self.first_query)
            past = position[:, None] >= jnp.arange(keys)
            if self.prefix is not None:
                past = past | (self.prefix[:, None, None] > 0)
            mask = past if mask is None else mask & past
        if self.window is not None:
            first = 0 if self.first_query is None else self.first_query
            back = jnp.arange(queries)[:, None] + first - jnp.arange(keys)
            near = back < self.window if self.causal else jnp.abs(back) <= self.window
            mask = near if mask is None else mask & near
        if self.query_ranks is not None and self.key_ranks is not None:
            below = (self.query_ranks[:, :, None] >= self.key_ranks[:, None, :])[:, None]
            mask = below if mask is None else mask & below
        return mask


class Place(NamedTuple):
    """Where the tokens of a self-attention stand: in their text, and in the stack."""

    positions: jax.Array  # [T] or [B, T]
    layer: jax.Array | int | None = None  # from 0, where attention depends on it


class KeyValues(NamedTuple):
    """Projected keys and values, [B, S, key heads, head_dim] each.

    A cache stores them [B, heads, S, head_dim]: the order in which the products of `one_step` read
    them, so that no step copies them into another.
    """

    key: jax.Array
    value: jax.Array

    def stored(self) -> "KeyValues":
        """In the order of a cache."""
        return KeyValues(self.key.swapaxes(1, 2), self.value.swapaxes(1, 2))


# attention(query, keys, bias, visibility, dropout_rate, dropout_key, shared_axes) -> [B, T, H, D]
AttentionFunction = Callable[..., jax.Array]


def plain_attention(
    query: jax.Array,
    keys: KeyValues,
    bias: jax.Array | None,
    visibility: Visibility,
    dropout_rate: float = 0.0,
    dropout_key: jax.Array | None = None,
    shared_axes: tuple[int, ...] = (-2,),
    softcap: float = 0.0,
) -> jax.Array:
    """softmax(query key^T + bias) value, without a scale: queries carry it.

    query [B, T, H, D], keys [B, S, H, D] or of fewer heads, bias [n, H, T, S] as in `add_bias`.
    Softmax in float32. Dropout draws once along `shared_axes` of the weights (T5X: all queries).
    softcap c: c tanh(logits / c) in the place of the logits; 0: none.
    """
    keys = KeyValues(*(for_heads(x, query.shape[2], axis=2) for x in keys))
    logits = jnp.einsum(
        "bthd,bshd->bhts", query, keys.key, preferred_element_type=wide(query.dtype)
    )
    weights = _softmax(logits, bias, visibility, softcap).astype(query.dtype)
    weights = dropout(weights, dropout_rate, dropout_key, shared_axes)
    return jnp.einsum("bhts,bshd->bthd", weights, keys.value)


def one_step(
    query: jax.Array,
    stored: KeyValues,
    bias: jax.Array | None,
    visibility: Visibility,
    softcap: float = 0.0,
) -> jax.Array:
    """`plain_attention` to a cache, [B, H, S, D]; few queries, forward only.

    Written as the products that XLA's CPU backend runs as they stand: from an einsum it makes others,
    and transposes every key for them at each step (four times the time).
    """
    stored = KeyValues(*(for_heads(x, query.shape[2], axis=1) for x in stored))
    rows_and_heads = ((0, 1), (0, 1))
    logits = jax.lax.dot_general(
        query.swapaxes(1, 2),
        stored.key,
        (((3,), (3,)), rows_and_heads),
        preferred_element_type=wide(query.dtype),
    )
    weights = _softmax(logits, bias, visibility, softcap).astype(query.dtype)
    y = jax.lax.dot_general(weights, stored.value, (((3,), (2,)), rows_and_heads))
    return y.swapaxes(1, 2)


def for_heads(x: jax.Array, heads: int, axis: int) -> jax.Array:
    """Keys or values with one head a query head: each repeated for the queries that share it."""
    return x if x.shape[axis] == heads else jnp.repeat(x, heads // x.shape[axis], axis=axis)


def _softmax(
    logits: jax.Array, bias: jax.Array | None, visibility: Visibility, softcap: float
) -> jax.Array:
    """Of logits [B, H, T, S] + bias, over the keys that may be seen."""
    if softcap:
        logits = softcap * jnp.tanh(logits / softcap)
    if bias is not None:
        logits = add_bias(logits, bias)
    mask = visibility.mask(logits.shape[-2], logits.shape[-1])
    if mask is not None:
        logits = jnp.where(mask, logits, -1e10)
    return jax.nn.softmax(logits)


@jax.custom_vjp
def add_bias(logits: jax.Array, bias: jax.Array) -> jax.Array:
    """logits [B, H, T, S] + bias [n, H, T, S], of which each is for the next B / n rows.

    The gradient of a bias that rows share is summed over them by a product with ones. As a plain
    sum, XLA's CPU backend merges those of all layers into one slow reduction: a tenth of a step.
    """
    return (_parts(logits, bias) + bias[:, None].astype(logits.dtype)).reshape(logits.shape)


def _parts(x: jax.Array, bias: jax.Array) -> jax.Array:
    """[B, ...] -> [n, B / n, ...]."""
    return x.reshape(bias.shape[0], -1, *x.shape[1:])


def _add_bias_backward(bias: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    parts = _parts(gradient, bias)
    ones = jnp.ones(parts.shape[1], gradient.dtype)
    return gradient, jnp.einsum("b,nbhts->nhts", ones, parts).astype(bias.dtype)


add_bias.defvjp(lambda logits, bias: (add_bias(logits, bias), bias), _add_bias_backward)


class Attention(nnx.Module):
    """Projections around an attention function. Kernels are 2-D: (embed, heads*kv)."""

    def __init__(self, arch: Architecture, declare: Declare, attention: AttentionFunction):
        inner = arch.heads * arch.head_dim

        def query_init(key, shape, dtype):
            # T5 has no 1/sqrt(head_dim) in its attention; its initialisation carries it.
            return fan_in_normal(key, shape, dtype) / jnp.sqrt(arch.head_dim).astype(dtype)

        def projection(init, heads, axis="heads*kv"):
            shape = (arch.d_model, heads * arch.head_dim)
            init = initializer(arch, init)
            return Linear(declare, init, shape, ("embed", axis), arch.dtype, arch.biases)

        shared = "heads*kv" if arch.key_heads == arch.heads else "kv_heads*kv"
        self.query = projection(query_init, arch.heads)
        self.key = projection(fan_in_normal, arch.key_heads, shared)
        self.value = projection(fan_in_normal, arch.key_heads, shared)
        self.out = Linear(
            declare,
            residual_initializer(arch, fan_in_normal),
            (inner, arch.d_model),
            ("heads*kv", "embed"),
            arch.dtype,
            arch.biases,
        )
        self.head_dim = arch.head_dim
        self.rotary_base = arch.rotary_base
        root = (arch.query_scalar or arch.head_dim) ** -0.5
        self.scale = root if arch.scaled_attention else None
        # Named only where there is one: an attention function need not know it.
        self.cap = {"softcap": arch.attention_softcap} if arch.attention_softcap else {}
        self.rate = arch.dropout
        self.shared_axes = shared_axes(arch)
        self.attention = attention

    def project(
        self, x: jax.Array, dropout_key: jax.Array | None = None, place: Place | None = None
    ) -> KeyValues:
        """Keys and values of x [B, S, E]."""
        key, value = self.key(x, dropout_key), self.value(x, dropout_key)
        return KeyValues(self._turned(self._by_head(key), place), self._by_head(value))

    def __call__(
        self,
        x: jax.Array,
        keys: KeyValues,
        bias: jax.Array | None,
        visibility: Visibility,
        dropout_key: jax.Array | None = None,
        place: Place | None = None,
    ) -> jax.Array:
        """x [B, T, E] attends to `keys`; returns [B, T, E].

        Where x has a multiple of the keys' rows (several outputs of one input stand side by side),
        they look at their input's keys as one longer row would, so those are stored and read once.
        """
        query = self._queries(x, keys, dropout_key, place)
        dropped = self.rate, dropout_key, self.shared_axes
        y = self.attention(query, keys, bias, visibility, *dropped, **self.cap)
        return self.out(y.reshape(*x.shape[:-1], -1), dropout_key)

    def step(
        self,
        x: jax.Array,
        stored: KeyValues,
        bias: jax.Array | None,
        visibility: Visibility,
        place: Place | None = None,
    ) -> jax.Array:
        """As a call, to keys in the order of a cache."""
        y = one_step(self._queries(x, stored, None, place), stored, bias, visibility, **self.cap)
        return self.out(y.reshape(*x.shape[:-1], -1))

    def _queries(
        self, x: jax.Array, keys: KeyValues, dropout_key: jax.Array | None, place: Place | None
    ) -> jax.Array:
        query = self._turned(self._by_head(self.query(x, dropout_key)), place)
        if self.scale is not None:
            query = query * self.scale
        if place is not None and place.layer is not None:
            query = query / (place.layer + 1)
        return query.reshape(keys.key.shape[0], -1, *query.shape[2:])

    def _turned(self, x: jax.Array, place: Place | None) -> jax.Array:
        # In cross-attention there is no place: positions of another text say nothing.
        turns = self.rotary_base and place is not None
        return rotate(x, place.positions, self.rotary_base) if turns else x

    def _by_head(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:-1], -1, self.head_dim)


def extend(cache: KeyValues, new: KeyValues, position: jax.Array) -> KeyValues:
    """`cache` [B, H, longest, D] with `new` [B, T, H, D] written at `position`."""
    return KeyValues(
        *(
            jax.lax.dynamic_update_slice_in_dim(old, part.astype(old.dtype), position, axis=2)
            for old, part in zip(cache, new.stored(), strict=True)
        )
    )
