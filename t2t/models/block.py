"""One layer of a stack: self-attention, cross-attention in a decoder, feed-forward."""

from typing import NamedTuple

import jax
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.attention import (
    Attention,
    AttentionFunction,
    KeyValues,
    Place,
    Visibility,
    extend,
)
from t2t.models.dropout import dropout, shared_axes, split_key
from t2t.models.experts import Experts
from t2t.models.feed_forward import FeedForward
from t2t.models.norms import norm
from t2t.models.parameters import Constrain, Declare, Spread
from t2t.models.positions import RelativeBias


class Surroundings(NamedTuple):
    """What is the same for all layers of a stack."""

    visibility: Visibility
    bias: jax.Array | None = None  # [n, H, T, S] for self-attention; None where a layer has its own
    encoded: jax.Array | None = None  # [B, S, E]; not needed when the cache holds its keys
    cross_visibility: Visibility = Visibility()
    place: Place | None = None  # None where nothing in the layers depends on it
    branch: jax.Array | None = None  # [B, 1, 1], a factor of what is added to the residual


class LayerCache(NamedTuple):
    """What one decoder layer keeps between steps."""

    self_attention: KeyValues  # [B, H, longest, D], filled up to the position of the step
    cross_attention: (
        KeyValues | None
    )  # [B, H, S, D], of the encoded input; a decoder alone has none
    parameters: nnx.State  # its own: cut out of the stack once, not at every step

    @property
    def longest(self) -> int:
        """How many positions there is room for."""
        return self.self_attention.key.shape[2]


class Block(nnx.Module):
    """Residual layer: x + f(norm(x)) for each sub-layer f, norm(x + f(x)), or x + norm(f(norm(x))).

    cross: whether it also attends to an encoded input. sparse: whether its feed-forward is experts.
    """

    def __init__(
        self,
        arch: Architecture,
        declare: Declare,
        decoder: bool,
        constrain: Constrain,
        attention: AttentionFunction,
        spread: Spread,
        cross: bool,
        sparse: bool = False,
    ):
        def here(place: str) -> nnx.Module | None:
            wanted = arch.norm_place in (place, "around")
            return norm(arch, declare) if wanted else nnx.data(None)

        self.cross = cross
        self.sparse = sparse
        self.around = arch.norm_place == "around"
        self.rate = arch.dropout
        self.shared_axes = shared_axes(arch)
        self.own_bias = arch.relative_bias == "per_layer"
        if self.own_bias:
            self.relative_bias = RelativeBias(arch, declare, not decoder, spread)
        self.pre_attention_norm = here("before")
        self.self_attention = Attention(arch, declare, attention)
        self.post_attention_norm = here("after")
        if cross:
            self.pre_cross_attention_norm = here("before")
            self.cross_attention = Attention(arch, declare, attention)
            self.post_cross_attention_norm = here("after")
        self.pre_feed_forward_norm = here("before")
        self.feed_forward = (Experts if sparse else FeedForward)(arch, declare, constrain)
        self.post_feed_forward_norm = here("after")

    def __call__(
        self,
        x: jax.Array,
        around: Surroundings,
        cache: LayerCache | None = None,
        dropout_key: jax.Array | None = None,
    ) -> tuple[jax.Array, LayerCache | None, dict]:
        """x [B, T, E] -> (x, cache with this call's keys added, aux)."""
        keys = split_key(dropout_key, 6)

        def before(norm, x):
            return x if norm is None else norm(x)

        def residual(x, y, key, norm):
            y = norm(y) if self.around else y
            y = dropout(y, self.rate, key, self.shared_axes)
            x = x + (y if around.branch is None else y * around.branch)
            return x if norm is None or self.around else norm(x)

        y = before(self.pre_attention_norm, x)
        own = self.self_attention.project(y, keys[0], around.place)
        visibility = around.visibility
        longest = own.key.shape[1]
        if cache is not None:
            own = extend(cache.self_attention, own, visibility.first_query)
            cache, longest = cache._replace(self_attention=own), own.key.shape[2]
        bias = around.bias
        if self.own_bias:
            bias = self.relative_bias(*x.shape[:2], longest, visibility.first_query)
        if cache is None:
            y = self.self_attention(y, own, bias, visibility, keys[0], around.place)
        else:
            y = self.self_attention.step(y, own, bias, visibility, around.place)
        x = residual(x, y, keys[1], self.post_attention_norm)

        if self.cross:
            y, visibility = before(self.pre_cross_attention_norm, x), around.cross_visibility
            if cache is None:
                encoded = self.cross_attention.project(around.encoded, keys[2])
                y = self.cross_attention(y, encoded, None, visibility, keys[2])
            else:
                y = self.cross_attention.step(y, cache.cross_attention, None, visibility)
            x = residual(x, y, keys[3], self.post_cross_attention_norm)

        y, aux = before(self.pre_feed_forward_norm, x), {}
        if self.sparse:
            y, aux = self.feed_forward(y, around.visibility.query_segments, keys[4])
        else:
            y = self.feed_forward(y, keys[4])
        return residual(x, y, keys[5], self.post_feed_forward_norm), cache, aux

    def start_cache(
        self, encoded: jax.Array, empty: jax.Array, parameters: nnx.State
    ) -> LayerCache:
        """`empty` [B, H, longest, D]; the keys of the encoded input [B, S, E] where it looks at one."""
        cross = self.cross_attention.project(encoded).stored() if self.cross else None
        return LayerCache(KeyValues(empty, empty), cross, parameters)
