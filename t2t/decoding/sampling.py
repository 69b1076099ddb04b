"""Sampling by temperature, top-k and top-p (nucleus, arXiv:1904.09751), by keys of the examples."""

import jax
import jax.numpy as jnp

from t2t.decoding.autoregression import Written, write
from t2t.decoding.config import Sample
from t2t.models.transformer import Model, Params


def truncated(logits: jax.Array, config: Sample) -> jax.Array:
    """Logits [..., V] / temperature, minus infinity on the tokens that top_k and top_p leave out.

    Tokens that tie with the last one kept are kept.
    """
    logits = logits / config.temperature
    if 0 < config.top_k < logits.shape[-1]:
        least = jax.lax.top_k(logits, config.top_k)[0][..., -1:]
        logits = jnp.where(logits >= least, logits, -jnp.inf)
    if config.top_p < 1:
        probability = jax.nn.softmax(logits)
        least = _nucleus_threshold(probability, config.top_p)
        logits = jnp.where(probability >= least, logits, -jnp.inf)
    return logits


def _nucleus_threshold(probability: jax.Array, top_p: float) -> jax.Array:
    """The largest t [..., 1] for which the probabilities >= t sum to top_p, exactly.

    Found by bisecting the bit patterns of float32 (ordered like the numbers themselves): 31 sums,
    where sorting a vocabulary costs many times that.
    """
    probability = probability.astype(jnp.float32)

    def halve(_, bounds):
        low, high = bounds  # the sum at `low` is enough, at `high` it is not
        middle = low + (high - low) // 2
        kept = probability >= jax.lax.bitcast_convert_type(middle, jnp.float32)
        enough = jnp.sum(jnp.where(kept, probability, 0), -1, keepdims=True) >= top_p
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    low = jnp.zeros((*probability.shape[:-1], 1), jnp.int32)
    above_one = jax.lax.bitcast_convert_type(jnp.float32(1.0), jnp.int32) + 2
    low, _ = jax.lax.fori_loop(0, 31, halve, (low, jnp.full_like(low, above_one)))
    return jax.lax.bitcast_convert_type(low, jnp.float32)


def sample(
    model: Model,
    params: Params,
    encoder: dict,
    longest: int,
    config: Sample,
    seed: jax.Array,
    examples: jax.Array,
    **ends,
) -> Written:
    """Inputs (see `cache.begin`) -> `config.samples` outputs a row.

    seed: uint32 scalar. examples [B] int32: each row's number, which its random numbers come from.
    Log-probabilities are the model's own, whatever the temperature and the cuts.
    ends: forced, stops, eos_id, start_id, as in `autoregression.write`.
    """
    base = jax.random.key(seed)
    fold = jax.random.fold_in
    of_example = jax.vmap(lambda i: fold(base, i))(examples)
    keys = jax.vmap(lambda key: jax.vmap(lambda j: fold(key, j))(jnp.arange(config.samples)))(
        of_example
    ).reshape(-1)

    def choose(logits: jax.Array, position: jax.Array) -> jax.Array:
        at_position = jax.vmap(lambda key: fold(key, position))(keys)
        return jax.vmap(jax.random.categorical)(at_position, truncated(logits, config))

    return write(model, params, encoder, longest, choose, copies=config.samples, **ends)
