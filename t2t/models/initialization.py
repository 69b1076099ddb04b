"""How kernels and tables begin: T5X's rules by fan-in, or the normal ones of BERT and GPT."""

import math

from t2t.models.architecture import Architecture
from t2t.models.parameters import Initializer, normal


def initializer(arch: Architecture, t5x: Initializer) -> Initializer:
    """The architecture's initialisation of a kernel or table for which T5X has `t5x`."""
    return t5x if arch.initialization == "t5x" else normal


def residual_initializer(arch: Architecture, t5x: Initializer) -> Initializer:
    """That of a kernel whose product is added to the residual (GPT-2 report, section 2.3)."""
    if arch.initialization != "normal_residual":
        return initializer(arch, t5x)
    layers = arch.encoder_layers + arch.decoder_layers
    return lambda key, shape, dtype: normal(key, shape, dtype) / math.sqrt(2 * layers)
