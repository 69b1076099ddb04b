"""Token embedding and the way back from hidden states to a vocabulary."""

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.initialization import table_initializer
from t2t.models.parameters import Constrain, Declare, product_gradients, wide


class Embedding(nnx.Module):
    """Table [rows, embed], N(0, 1) at the start (T5X) or of the architecture's normal.

    That of the vocabulary is shared by encoder and decoder.
    """

    def __init__(self, arch: Architecture, declare: Declare, rows: int, axis: str = "vocab"):
        self.table = declare(table_initializer(arch), (rows, arch.embedding_width), (axis, "embed"))
        self.axis = axis
        self.dtype = arch.dtype

    def __call__(self, tokens: jax.Array, constrain: Constrain) -> jax.Array:
        """[B, T] -> [B, T, E], or [T] -> [T, E].

        The table is made whole along `embed` before it is read: rows read from columns that are
        split like the batch would have to be copied to every device to be split by row. The rows read
        are first laid out as the tokens are, so that the gradient stays split along `vocab`.
        """
        table = constrain(self.table[...], (self.axis, "embed"))
        x = table[tokens].astype(self.dtype)
        if x.ndim == 2:  # positions that are the same for all rows
            return x
        return constrain(constrain(x, ("batch", "tokens", "embed")), ("batch", "length", "embed"))


@jax.custom_vjp
def to_vocabulary(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x [..., E] @ kernel [E, V], summed and returned in float32 whatever the type of x.

    The gradient of the logits is cast to the type of x before its two matrix products: float32
    products beside bfloat16 ones cost an accelerator 8 to 16 times the time.
    """
    return jnp.dot(x, kernel, preferred_element_type=wide(x.dtype))


to_vocabulary.defvjp(
    lambda x, kernel: (to_vocabulary(x, kernel), (x, kernel)),
    lambda saved, gradient: product_gradients(saved, gradient.astype(saved[0].dtype)),
)
