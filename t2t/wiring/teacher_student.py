"""Distillation: a masked language model that predicts as a larger, frozen one does (arXiv:1910.01108)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from t2t.losses import cross_entropy, divergence
from t2t.models.parameters import wide
from t2t.models.partition import TEACHER, join, own
from t2t.models.transformer import Model
from t2t.vocabulary_loss import Chunks, summed
from t2t.wiring.masked import at_places, token_places


def loss_function(
    model: Model,
    teacher: Model,
    weights: tuple[float, float, float],
    temperature: float,
    z_loss: float,
    label_smoothing: float,
    chunks: Chunks | None = None,
) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    frozen holds the teacher's parameters under `teacher`; it runs without dropout. weights: of the
    divergence, the masked tokens and the cosine (see `Teacher`); the first and last are means over all
    tokens that are no padding, times the count of predictions. `loss` among the metrics is that of the
    masked tokens; beside it `teacher_divergence`, KL(teacher || model) of the predictions at
    temperature 1, and `divergence_loss` and `cosine_loss`, unweighted, where they have a weight.
    """
    of_divergence, of_masked, of_cosine = weights

    def of_predictions(logits, targets, weights):
        ours, theirs = logits
        sums = cross_entropy(ours, targets, weights, z_loss, label_smoothing)
        return sums | {"teacher_divergence": divergence(ours, theirs, weights, 1.0)}

    def softened(logits, _, weights):
        return {"objective": temperature**2 * divergence(*logits, weights, temperature)}

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(own(frozen), trainable)
        hidden, _, _ = model.forward(params, batch, dropout_key=rng)
        above, _, _ = teacher.forward(frozen[TEACHER], batch)
        above = jax.lax.stop_gradient(above).astype(hidden.dtype)
        width = hidden.shape[-1]

        def heads(x):
            theirs = teacher.logits(frozen[TEACHER], x[..., width:])
            return model.logits(params, x[..., :width]), jax.lax.stop_gradient(theirs)

        both = jnp.concatenate([hidden, above], axis=-1)
        sums = summed(
            of_predictions,
            heads,
            at_places(both, batch["places"]),
            batch["targets"],
            batch["weights"],
            chunks,
        )
        objective = of_masked * sums.pop("objective")
        read = batch["encoder"]
        real = token_places(read).astype(sums["weight"].dtype)
        each = sums["weight"] / jnp.maximum(jnp.sum(real), 1)
        if of_divergence:
            apart = each * summed(softened, heads, both, read["tokens"], real, chunks)["objective"]
            objective += of_divergence * apart
            sums["divergence_loss"] = apart
        if of_cosine:
            turned = each * jnp.sum((1 - cosine(hidden, above)) * real)
            objective += of_cosine * turned
            sums["cosine_loss"] = turned
        return objective, (jax.lax.stop_gradient(sums), carry)

    return loss_fn


def cosine(x: jax.Array, y: jax.Array) -> jax.Array:
    """The cosine of the angle between vectors [..., E]: [...]."""
    x, y = (a.astype(wide(a.dtype)) for a in (x, y))
    squares = (jnp.sum(a * a, axis=-1) + 1e-12 for a in (x, y))  # as torch's CosineEmbeddingLoss
    one, other = squares
    return jnp.sum(x * y, axis=-1) * jax.lax.rsqrt(one * other)
