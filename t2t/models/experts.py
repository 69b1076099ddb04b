"""A mixture of feed-forward experts, one a token (Switch Transformer, arXiv:2101.03961)."""

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.dropout import dropout, shared_axes
from t2t.models.feed_forward import ACTIVATIONS
from t2t.models.initialization import initializer, residual_initializer
from t2t.models.parameters import Constrain, Declare, fan_in_truncated, wide


class Experts(nnx.Module):
    """Each token's output is its likeliest expert's times that probability.

    An expert serves the first `capacity` tokens of a row that ask for it, in the order of the row;
    the others get 0, so that only the residual goes on. Padding at the end of a row asks last.
    """

    def __init__(self, arch: Architecture, declare: Declare, constrain: Constrain):
        first = initializer(arch, fan_in_truncated)
        last = residual_initializer(arch, fan_in_truncated)
        count, d_model, d_ff = arch.experts, arch.d_model, arch.d_ff
        self.router = declare(first, (d_model, count), ("embed", None))
        # Each expert by its own fan-in.
        of_each = lambda init: jax.vmap(init, in_axes=(0, None, None))

        def experts(init, shape, axes):
            def begin(key, shape, dtype):
                return of_each(init)(jax.random.split(key, count), shape[1:], dtype)

            return declare(begin, (count, *shape), ("expert", *axes))

        self.wi = experts(first, (d_model, d_ff), ("embed", "mlp"))
        self.wo = experts(last, (d_ff, d_model), ("mlp", "embed"))
        self.capacity = arch.expert_capacity
        self.activation = arch.activation
        self.rate, self.jitter = max(arch.dropout, arch.expert_dropout), arch.router_jitter
        self.shared_axes = shared_axes(arch)
        self.dtype = arch.dtype
        self.constrain = constrain

    def __call__(
        self, x: jax.Array, segments: jax.Array | None, dropout_key: jax.Array | None = None
    ) -> tuple[jax.Array, dict]:
        """x [B, T, E] -> (y [B, T, E], aux). segments [B, T]: 0 on padding.

        aux: `balance_loss` = N sum_i f_i P_i over the N experts, f the share of tokens that ask for
        one and P its mean probability (the paper's equation 4; 1 when balanced), `shares` f [N], and
        `dropped`, the share of tokens that no expert serves.
        """
        router = self.router[...].astype(wide(x.dtype))
        read = x.astype(router.dtype)
        if self.jitter and dropout_key is not None:
            key, dropout_key = jax.random.split(dropout_key)
            low, high = 1 - self.jitter, 1 + self.jitter
            read = read * jax.random.uniform(key, x.shape, router.dtype, low, high)
        probabilities = jax.nn.softmax(read @ router)  # [B, T, N]
        asked = jax.nn.one_hot(
            jnp.argmax(probabilities, axis=-1), router.shape[1], dtype=router.dtype
        )
        capacity = min(self.capacity, x.shape[1])
        place = jnp.cumsum(asked, axis=1) * asked - 1  # [B, T, N]; -1 where not asked
        # 1 where token t is number c of expert n; beyond the capacity there is no such number.
        sent = jax.nn.one_hot(place, capacity, dtype=x.dtype)  # [B, T, N, C]
        inputs = jnp.einsum("btnc,btd->bncd", sent, x)
        # On a mesh rows come together where their expert is, and go back behind it.
        inputs = self.constrain(inputs, ("batch", "expert", None, "embed"))
        hidden = jnp.einsum("bncd,ndf->bncf", inputs, self.wi[...].astype(self.dtype))
        hidden = ACTIVATIONS[self.activation](hidden)
        hidden = self.constrain(hidden, ("batch", "expert", None, "mlp"))
        hidden = dropout(hidden, self.rate, dropout_key, self.shared_axes)
        outputs = jnp.einsum("bncf,nfd->bncd", hidden, self.wo[...].astype(self.dtype))
        outputs = self.constrain(outputs, ("batch", "expert", None, "embed"))
        chance = jnp.max(probabilities, axis=-1).astype(x.dtype)
        y = jnp.einsum("btnc,bncd->btd", sent, outputs) * chance[..., None]
        served = jnp.any((place >= 0) & (place < capacity), axis=-1)
        return y, _load(probabilities, asked, served, segments)


def _load(probabilities: jax.Array, asked: jax.Array, served: jax.Array, segments) -> dict:
    """What `Experts` tells of its tokens that are no padding."""
    real = jnp.ones(asked.shape[:2]) if segments is None else segments > 0
    weights = real.astype(asked.dtype)
    weights = weights / jnp.maximum(jnp.sum(weights), 1)
    shares, means = (jnp.einsum("btn,bt->n", x, weights) for x in (asked, probabilities))
    return {
        "balance_loss": asked.shape[-1] * jnp.sum(shares * means),
        "shares": shares,
        "dropped": jnp.sum(weights * ~served),
    }
