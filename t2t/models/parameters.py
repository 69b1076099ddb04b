"""Declaring parameters: value, shape and logical axis names in one line; and the dense kernel."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

Initializer = Callable[[jax.Array, tuple[int, ...], jnp.dtype], jax.Array]
Constrain = Callable[[jax.Array, tuple[str | None, ...]], jax.Array]
# spread(x, rows) -> [n, *x.shape]: x once for each of the n parts that `rows` of a batch are split into.
Spread = Callable[[jax.Array, int], jax.Array]


def unsplit(x: jax.Array, rows: int) -> jax.Array:
    """The `Spread` of where rows are not split: [1, *x.shape]."""
    return x[None]


class Declare:
    """Hands out float32 parameters, each from its own key, with the names of their axes.

    Inside a stack of `layers` equal layers every parameter gets a leading axis "layers" and is
    initialised layer by layer, so fan-in rules see one layer's shape.
    """

    def __init__(self, key: jax.Array, layers: int | None = None):
        self._key = key
        self._count = 0
        self._layers = layers

    def __call__(self, init: Initializer, shape: tuple[int, ...], axes: tuple[str, ...]):
        key = self._next_key()
        if self._layers is None:
            value = init(key, shape, jnp.float32)
        else:
            keys = jax.random.split(key, self._layers)
            value = jax.vmap(lambda k: init(k, shape, jnp.float32))(keys)
            axes = ("layers", *axes)
        # Names only: where an array lives is decided outside the model.
        with nnx.use_eager_sharding(False):
            return nnx.Param(value, out_sharding=axes)

    def stacked(self, layers: int) -> "Declare":
        """A declaration for `layers` equal layers stored in one array each."""
        return Declare(self._next_key(), layers)

    def _next_key(self) -> jax.Array:
        self._count += 1
        return jax.random.fold_in(self._key, self._count)


class Linear(nnx.Module):
    """x @ kernel (+ bias). Kernel [inputs, outputs] is cast to `dtype` at use.

    `lora` may hold an adapter, lora(x, dropout_key) -> what it adds (see t2t.models.lora).
    """

    def __init__(
        self,
        declare: Declare,
        init: Initializer,
        shape: tuple[int, int],
        axes: tuple[str, str],
        dtype: str,
        bias: bool = False,
    ):
        self.kernel = declare(init, shape, axes)
        if bias:  # of the width it is as a norm is: small, and whole on every device
            outputs = "norm" if axes[1] == "embed" else axes[1]
            self.bias = declare(jax.nn.initializers.zeros, (shape[1],), (outputs,))
        self.biased = bias
        self.dtype = dtype
        self.lora = nnx.data(None)

    def __call__(self, x: jax.Array, dropout_key: jax.Array | None = None) -> jax.Array:
        y = product(x, self.kernel[...].astype(self.dtype))
        if self.biased:
            y = y + self.bias[...].astype(self.dtype)
        return y if self.lora is None else y + self.lora(x, dropout_key)


@jax.custom_vjp
def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x [..., inputs] @ kernel [inputs, outputs].

    The gradient of the kernel contracts over rows, for which one of its two factors is transposed
    in memory. Autodiff always takes the gradient of the output, together with whatever computes it
    (in a gated feed-forward a long chain, in strided writes: a tenth of a step on a CPU). Here it
    is the narrower one, which layers that read the same x share.
    """
    return jnp.dot(x, kernel)


def product_gradients(
    saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The gradients of x and kernel, `saved`, from that of their product (see `product`)."""
    x, kernel = saved
    inputs, outputs = kernel.shape
    rows = x.reshape(-1, inputs), gradient.reshape(-1, outputs)
    over_rows = (((0,), (0,)), ((), ()))
    if inputs <= outputs:
        kernel_gradient = jax.lax.dot_general(*rows, over_rows)
    else:
        kernel_gradient = jax.lax.dot_general(*reversed(rows), over_rows).T
    return jnp.dot(gradient, kernel.T), kernel_gradient


# A plain product in the forward rule: remat's policies look at that, and do not look into `product`.
product.defvjp(lambda x, kernel: (jnp.dot(x, kernel), (x, kernel)), product_gradients)


# T5X initialises the kernels that touch heads with plain normals, all others with truncated ones.
fan_in_normal = jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal")
fan_in_truncated = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")

# Kernels and tables of BERT and GPT.
normal = jax.nn.initializers.normal(0.02)


def wide(dtype) -> jnp.dtype:
    """The type for softmax, norms and logits: float32, or float64 when computing in float64."""
    return jnp.promote_types(dtype, jnp.float32)
