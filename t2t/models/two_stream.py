"""A tower with two streams: contents, and queries that know a position but not what stands there.

XLNet (arXiv:1906.08237, section 2.3): both streams pass through the same layers, and both look at the
contents. A row may go on from a memory: what each layer read of the row before (section 2.4).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.attention import AttentionFunction, Visibility
from t2t.models.dropout import dropout, shared_axes, split_key
from t2t.models.feed_forward import FeedForward
from t2t.models.initialization import initializer
from t2t.models.norms import norm
from t2t.models.parameters import Constrain, Declare, fan_in_normal
from t2t.models.relative_attention import Look, RelativeAttention, mirrored, sinusoids
from t2t.models.stack import REMAT_POLICIES, unstack


class Memory(NamedTuple):
    """What every layer read of the tokens before a row."""

    states: jax.Array  # [B, layers, M, E]
    filled: jax.Array  # [B, M], bool: there is such a token


class TwoStreamBlock(nnx.Module):
    """norm(x + f(x)) for attention and feed-forward f, of contents and of queries."""

    def __init__(
        self,
        arch: Architecture,
        declare: Declare,
        constrain: Constrain,
        attention: AttentionFunction,
    ):
        self.self_attention = RelativeAttention(arch, declare, attention)
        self.post_attention_norm = norm(arch, declare)
        self.feed_forward = FeedForward(arch, declare, constrain)
        self.post_feed_forward_norm = norm(arch, declare)
        self.rate = arch.dropout
        self.shared_axes = shared_axes(arch)

    def __call__(
        self,
        streams: tuple[jax.Array, jax.Array | None],
        looks: tuple[Look, Look | None],
        remembered: jax.Array | None,
        far: jax.Array,
        dropout_key: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array | None]:
        """(contents [B, T, E], queries [B, P, E] or None) -> the same.

        looks: of each stream. remembered [B, M, E]: this layer's of the memory. far [R, E] or [B, R, E]: sinusoids.
        """
        keys_key, *stream_keys = split_key(dropout_key, 3)
        content = streams[0]
        seen = content if remembered is None else jnp.concatenate([remembered, content], axis=1)
        keys = self.self_attention.keys(seen, keys_key)
        distances = self.self_attention.distances(far, keys_key)

        def residual(x, y, key, norm):
            return norm(x + dropout(y, self.rate, key, self.shared_axes))

        def passed(x, look, key):
            if x is None:
                return None
            first, second, third, fourth = split_key(key, 4)
            y = self.self_attention(x, keys, distances, look, first)
            x = residual(x, y, second, self.post_attention_norm)
            return residual(x, self.feed_forward(x, third), fourth, self.post_feed_forward_norm)

        content, query = map(passed, streams, looks, stream_keys)
        return content, query


class _QueryEmbedding(nnx.Module):
    """What every query is at first, [1, 1, E]."""

    def __init__(self, arch: Architecture, declare: Declare):
        init = initializer(arch, fan_in_normal)
        self.table = declare(init, (1, 1, arch.d_model), ("types", "types", "embed"))


class TwoStreamStack(nnx.Module):
    """`layers` blocks, stored stacked, applied by a scan or a Python loop as `Stack`'s are."""

    def __init__(
        self,
        arch: Architecture,
        declare: Declare,
        layers: int,
        constrain: Constrain,
        attention: AttentionFunction,
    ):
        self.layers = TwoStreamBlock(arch, declare.stacked(layers), constrain, attention)
        self.query_embedding = _QueryEmbedding(arch, declare)
        self.count = layers
        self.width = arch.d_model
        self.dtype = arch.dtype
        self.rate = arch.dropout
        self.shared_axes = shared_axes(arch)
        self.remat = arch.remat
        self.mode = arch.layers
        self.constrain = constrain

    def __call__(
        self, x: jax.Array, side: dict, dropout_key: jax.Array | None = None
    ) -> tuple[jax.Array, dict]:
        """Embedded tokens x [B, T, E] -> (hidden states of the queries, or of the contents where there
        are none; aux).

        side: the part of the batch. Beside tokens it may have `segments` and `types` [B, T], and
            ranks [B, T]: a content sees those whose rank is not above its own, a query those below
                that of its place;
            queried [B, P]: the places of queries;
            backward [B]: 1 where the row is a text from its last token to its first, whose distances
                are those of the text as it was written;
            memory: a Memory.
        aux: `read` [layers, B, T, E], what each layer read of the contents.
        """
        embedding_key, far_key, layers_key, final_key = split_key(dropout_key, 4)
        content_key, query_key = split_key(embedding_key, 2)
        queried, memory = side.get("queried"), side.get("memory")
        content = dropout(x, self.rate, content_key, self.shared_axes)
        query = None
        if queried is not None:
            first = self.query_embedding.table[...].astype(self.dtype)
            query = jnp.broadcast_to(first, (*queried.shape, self.width))
            query = dropout(query, self.rate, query_key, self.shared_axes)
        looks = _looks(side, memory)
        before = 0 if memory is None else memory.filled.shape[1]
        far = sinusoids(before + x.shape[1], x.shape[1], self.width, self.dtype)
        far = dropout(far, self.rate, far_key)
        if "backward" in side:
            far = mirrored(far, side["backward"])

        graph, state = nnx.split(self.layers)
        keys = None if layers_key is None else jax.random.split(layers_key, self.count)
        remembered = None
        if memory is not None:
            remembered = jnp.moveaxis(memory.states.astype(self.dtype), 1, 0)

        def apply(streams, layer):
            one, remembered, key = layer
            content, query = nnx.merge(graph, one)(streams, looks, remembered, far, key)
            content = self.constrain(content, ("batch", "length", "embed"))
            return (content, query), streams[0]

        scanned = self.mode == "scan"
        if self.remat != "none":
            apply = jax.checkpoint(
                apply, policy=REMAT_POLICIES[self.remat], prevent_cse=not scanned
            )
        streams, layers = (content, query), (state, remembered, keys)
        if scanned:
            streams, read = jax.lax.scan(apply, streams, layers)
        else:
            read = []
            for i, one in enumerate(unstack(state, self.count)):
                others = (None if part is None else part[i] for part in layers[1:])
                streams, what = apply(streams, (one, *others))
                read.append(what)
            read = jnp.stack(read)
        content, query = streams
        hidden = content if query is None else query
        return dropout(hidden, self.rate, final_key, self.shared_axes), {"read": read}


def _looks(side: dict, memory: Memory | None) -> tuple[Look, Look | None]:
    """What the contents look at, and the queries where there are any."""
    segments, types, ranks = (side.get(name) for name in ("segments", "types", "ranks"))
    if memory is not None and segments is None:
        segments = jnp.ones(side["tokens"].shape, jnp.int32)

    def behind(of_tokens: jax.Array | None, of_memory: jax.Array | int) -> jax.Array | None:
        """Of keys [B, S]: the memory's tokens before the row's."""
        if memory is None or of_tokens is None:
            return of_tokens
        shape = memory.filled.shape
        of_memory = jnp.broadcast_to(jnp.asarray(of_memory, of_tokens.dtype), shape)
        return jnp.concatenate([of_memory, of_tokens], axis=1)

    # The memory is of segment 1, no place of it that is empty of any; all ranks are above its own.
    filled = 0 if memory is None else jnp.where(memory.filled, 1, -1)
    key_segments, key_types, key_ranks = (
        behind(segments, filled),
        behind(types, 0),
        behind(ranks, -1),
    )

    def look(places: jax.Array | None) -> Look:
        def at(x: jax.Array | None) -> jax.Array | None:
            return x if x is None or places is None else jnp.take_along_axis(x, places, axis=1)

        below = 0 if places is None else 1  # a query does not see its own place
        visibility = Visibility(
            at(segments),
            key_segments,
            query_ranks=None if ranks is None else at(ranks) - below,
            key_ranks=key_ranks,
        )
        different = None if types is None else at(types)[:, :, None] != key_types[:, None, :]
        return Look(visibility, different, places)

    queried = side.get("queried")
    return look(None), None if queried is None else look(queried)
