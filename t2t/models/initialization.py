"""How kernels and tables begin: T5X's rules by fan-in, or the normal ones of BERT and GPT."""

import math

import jax

from t2t.models.architecture import Architecture
from t2t.models.parameters import Initializer, normal


def initializer(arch: Architecture, t5x: Initializer) -> Initializer:
    """The architecture's initialisation of a kernel for which T5X has `t5x`."""
    if arch.initialization != "t5x":
        return normal
    return lambda key, shape, dtype: t5x(key, shape, dtype) * math.sqrt(arch.kernel_scale)


def table_initializer(arch: Architecture) -> Initializer:
    """That of a table of embeddings: N(0, 1) in T5X."""
    return jax.nn.initializers.normal(1.0) if arch.initialization == "t5x" else normal


def residual_initializer(arch: Architecture, t5x: Initializer) -> Initializer:
    """That of a kernel whose product is added to the residual (GPT-2 report, section 2.3)."""
    if arch.initialization != "normal_residual":
        return initializer(arch, t5x)
    layers = arch.encoder_layers + arch.decoder_layers
    return lambda key, shape, dtype: normal(key, shape, dtype) / math.sqrt(2 * layers)
