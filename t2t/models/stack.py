"""A tower of equal layers, stored stacked, applied by a scan or a Python loop."""

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.attention import AttentionFunction
from t2t.models.block import Block, LayerCache, Surroundings
from t2t.models.dropout import branch_factor, dropout, shared_axes, split_key
from t2t.models.norms import norm
from t2t.models.parameters import Constrain, Declare, Spread
from t2t.models.period import Period
from t2t.models.positions import RelativeBias

REMAT_POLICIES = {
    "dots": jax.checkpoint_policies.checkpoint_dots_with_no_batch_dims,
    "full": jax.checkpoint_policies.nothing_saveable,
}


_EVERYTHING = 1 << 30  # a window that hides nothing
_BRANCH = 2**31  # folded into a layer's key: no dropout of its own has that number


class Stack(nnx.Module):
    """`layers` blocks, their shared position bias, and the final norm.

    Where blocks differ in their parameters (experts), a layer here is a period of them.
    """

    def __init__(
        self,
        arch: Architecture,
        declare: Declare,
        layers: int,
        decoder: bool,
        constrain: Constrain,
        attention: AttentionFunction,
        spread: Spread,
    ):
        cross = decoder and arch.encoder_layers > 0
        kind, layers = (Period, layers // arch.expert_every) if arch.experts else (Block, layers)
        self.stored = arch.layer_groups or layers
        self.layers = kind(
            arch, declare.stacked(self.stored), decoder, constrain, attention, spread, cross
        )
        self.shared_bias = arch.relative_bias == "shared"
        if self.shared_bias:
            self.relative_bias = RelativeBias(arch, declare, not decoder, spread)
        after = arch.norm_place == "after"
        self.final_norm = nnx.data(None) if after else norm(arch, declare)
        self.count = layers
        self.numbered = arch.layer_scaled_attention
        self.window, self.window_every = arch.window, arch.window_every
        self.shared_axes = shared_axes(arch)
        self.drops_last = arch.dropout_along_length
        self.decoder = decoder
        self.rate, self.layer_rate, self.dtype = arch.dropout, arch.layer_dropout, arch.dtype
        self.remat = arch.remat
        self.mode = arch.layers
        self.constrain = constrain

    def __call__(
        self,
        x: jax.Array,
        around: Surroundings,
        cache: tuple[LayerCache, ...] | None = None,
        dropout_key: jax.Array | None = None,
    ) -> tuple[jax.Array, tuple[LayerCache, ...] | None, dict]:
        """Embedded tokens [B, T, E] -> (normed hidden states, cache, aux stacked over layers)."""
        embedding_key, layers_key, final_key = split_key(dropout_key, 3)
        x = dropout(x, self.rate, embedding_key, self.shared_axes)
        if self.shared_bias:
            keys = x.shape[1] if cache is None else cache[0].longest
            first = around.visibility.first_query
            around = around._replace(bias=self.relative_bias(*x.shape[:2], keys, first))

        layer_keys = None if layers_key is None else jax.random.split(layers_key, self.count)
        x, cache, aux = self._apply(x, around, cache, layer_keys)
        if self.final_norm is not None:
            x = self.final_norm(x)
        if self.drops_last:
            # T5X draws the encoder's last dropout per element, all others once along the length.
            x = dropout(x, self.rate, final_key, shared_axes=(-2,) if self.decoder else ())
        return x, cache, aux

    def start_cache(self, encoded: jax.Array, empty: jax.Array) -> tuple[LayerCache, ...]:
        """A cache a layer: `empty` [B, H, longest, D], and the keys of the encoded input [B, S, E],
        where the layers look at one."""
        graph, state = nnx.split(self.layers)
        # In the type that they are computed in: no step casts them again.
        state = jax.tree.map(lambda leaf: leaf.astype(empty.dtype), state)

        return tuple(
            nnx.merge(graph, one).start_cache(encoded, empty, one) for one in self._each(state)
        )

    def _apply(self, x, around, cache, layer_keys):
        graph, state = nnx.split(self.layers)

        def apply(x, one, layer_cache, key, number):
            here = around
            if self.numbered:
                here = around._replace(place=around.place._replace(layer=number))
            if self.window:
                whole = (number + 1) % self.window_every == 0
                window = jnp.where(whole, _EVERYTHING, self.window)
                here = here._replace(visibility=here.visibility._replace(window=window))
            if self.layer_rate and key is not None:
                rate = self.layer_rate * (number + 1) / self.count
                own = jax.random.fold_in(key, _BRANCH)
                branch = branch_factor(x.shape[0], rate, own, self.dtype)
                here = here._replace(branch=branch)
            x, layer_cache, aux = nnx.merge(graph, one)(x, here, layer_cache, key)
            return self.constrain(x, ("batch", "length", "embed")), layer_cache, aux

        # A cached step is one token long: no gradient, little to compile, and a scan would copy
        # every layer's keys in and out of a stack at each step.
        scanned = cache is None and self.mode == "scan"
        if self.remat != "none" and cache is None:
            apply = jax.checkpoint(
                apply, policy=REMAT_POLICIES[self.remat], prevent_cse=not scanned
            )
        if scanned:

            def body(x, layer):
                one, key, number = layer
                if self.stored < self.count:
                    one = jax.tree.map(lambda leaf: leaf[number * self.stored // self.count], state)
                x, _, aux = apply(x, one, None, key, number)
                return x, aux

            own = state if self.stored == self.count else None
            x, aux = jax.lax.scan(body, x, (own, layer_keys, jnp.arange(self.count)))
            return x, None, aux

        caches = [None] * self.count if cache is None else cache
        each = self._each(state) if cache is None else [c.parameters for c in cache]
        results = []
        for i, one in enumerate(each):
            key = None if layer_keys is None else layer_keys[i]
            x, layer_cache, aux = apply(x, one, caches[i], key, i)
            results.append((layer_cache, aux))
        new_cache = None if cache is None else tuple(layer_cache for layer_cache, _ in results)
        return x, new_cache, jax.tree.map(lambda *a: jnp.stack(a), *(aux for _, aux in results))

    def _each(self, state) -> list:
        """The parameters of every layer, those of a group the same."""
        stored = unstack(state, self.stored)
        return [stored[i * self.stored // self.count] for i in range(self.count)]


def unstack(tree, count: int) -> list:
    """A tree of [count, ...] leaves -> `count` trees. The gradient is one concatenation a leaf."""
    leaves, structure = jax.tree.flatten(tree)
    pieces = [jax.lax.split(leaf, [1] * count, axis=0) for leaf in leaves]
    return [structure.unflatten([piece[i][0] for piece in pieces]) for i in range(count)]
