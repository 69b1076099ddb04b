"""LoRA: adapters beside chosen kernels, and their product merged into them."""

import re

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.errors import UserError
from t2t.models.dropout import dropout
from t2t.models.lora_config import LoRA
from t2t.models.parameters import Declare, Linear, product, wide

# Variance 1/3 of a unit fan-in is the uniform distribution within 1/sqrt(inputs).
_uniform = jax.nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Adapter(nnx.Module):
    """scale x dropout(x) A B, for a kernel [inputs, outputs] with these axes."""

    def __init__(
        self,
        cfg: LoRA,
        declare: Declare,
        shape: tuple[int, int],
        axes: tuple[str, str],
        dtype: str,
        number: int,
    ):
        self.a = declare(_uniform, (shape[0], cfg.rank), (axes[0], "rank"))
        self.b = declare(jax.nn.initializers.zeros, (cfg.rank, shape[1]), ("rank", axes[1]))
        self.scale, self.rate, self.dtype = cfg.scale, cfg.dropout, dtype
        self.number = number  # kernels that share a dropout key drop different entries

    def __call__(self, x: jax.Array, dropout_key: jax.Array | None) -> jax.Array:
        """x [..., inputs] -> [..., outputs]."""
        key = None if dropout_key is None else jax.random.fold_in(dropout_key, self.number)
        thin = product(dropout(x, self.rate, key), self.a[...].astype(self.dtype))
        return product(thin, self.b[...].astype(self.dtype)) * self.scale


def add_adapters(network: nnx.Module, cfg: LoRA, key: jax.Array) -> None:
    """Gives every kernel of the layers whose name matches `cfg.kernels` its adapter.

    Raises: UserError listing the kernels there are where none matches.
    """
    kernels = {
        "/".join(map(str, path)) + "/kernel": module
        for path, module in nnx.iter_modules(network)
        if isinstance(module, Linear) and "layers" in path
    }
    chosen = [name for name in sorted(kernels) if re.fullmatch(cfg.kernels, name)]
    if not chosen:
        raise UserError(
            f"config.training.lora.kernels: {cfg.kernels!r} matches the whole name of no kernel of "
            f"the layers; they are {', '.join(sorted(kernels))}"
        )
    for number, name in enumerate(chosen):
        linear = kernels[name]
        layers, *shape = linear.kernel.shape
        _, *axes = linear.kernel.get_metadata("out_sharding")
        declare = Declare(jax.random.fold_in(key, number), layers)
        linear.lora = Adapter(cfg, declare, tuple(shape), tuple(axes), linear.dtype, number)


def merge_lora(params: dict, adapters: dict, scale: float) -> dict:
    """Returns the parameters with scale x A B added to every adapted kernel.

    params: the model's own; adapters: {'encoder': ... {'query': {'lora': {'a', 'b'}}}}, stacked as
    the layers are, [L, inputs, rank] and [L, rank, outputs].
    """
    merged = dict(params)
    for name, node in adapters.items():
        if name != "lora":
            merged[name] = merge_lora(params[name], node, scale)
            continue
        kernel = params["kernel"]
        dtype = wide(kernel.dtype)
        change = jnp.matmul(
            node["a"].astype(dtype), node["b"].astype(dtype), precision=jax.lax.Precision.HIGHEST
        )
        merged["kernel"] = (kernel.astype(dtype) + scale * change).astype(kernel.dtype)
    return merged
