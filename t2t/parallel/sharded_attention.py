"""Attention of queries that are split over devices: by rows, by heads, and by length.

With the length split over `context` each device holds the scores of its own queries against all
keys, [.., T/n, S]: keys and values of a layer are gathered (their gradients scattered back), the bias
of a device's rows is laid out where it is used, and softmax needs no communication.
"""

import jax

from t2t.models.attention import AttentionFunction, KeyValues, Visibility, plain_attention
from t2t.models.parameters import Constrain


def sharded_attention(
    constrain: Constrain, attention: AttentionFunction = plain_attention
) -> AttentionFunction:
    """Returns `attention` with its operands laid out by `constrain` (see t2t.parallel.sharding)."""
    own = ("batch", "length", "heads", None)

    def attend(
        query: jax.Array,
        keys: KeyValues,
        bias: jax.Array | None,
        visibility: Visibility,
        dropout_rate: float = 0.0,
        dropout_key: jax.Array | None = None,
        shared_axes: tuple[int, ...] = (-2,),
        **cap: float,  # the softcap of an architecture that has one
    ) -> jax.Array:
        # First where they are computed, each device its own, then whole: nothing is computed twice.
        whole = KeyValues(
            *(constrain(constrain(x, own), ("batch", "kv_length", "heads", None)) for x in keys)
        )
        if bias is not None:
            rows = "batch" if bias.shape[0] > 1 else None
            bias = constrain(bias, (rows, "heads", "length", "kv_length"))
        query = constrain(query, own)
        y = attention(query, whole, bias, visibility, dropout_rate, dropout_key, shared_axes, **cap)
        return constrain(y, own)

    return attend
