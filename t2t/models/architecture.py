"""A transformer as a value: one field an axis. A family is such a value, never a subclass."""

import math
from dataclasses import dataclass
from typing import Literal

from t2t.errors import UserError

_POSITIVE = (
    "vocab_size",
    "d_model",
    "heads",
    "head_dim",
    "d_ff",
    "encoder_layers",
    "decoder_layers",
    "relative_buckets",
    "relative_max_distance",
)


@dataclass(frozen=True)
class Architecture:
    """Everything that decides the shapes and the arithmetic of an encoder-decoder transformer."""

    # Width. `vocab_size` is the number of rows stored, sentinels and padding included.
    vocab_size: int
    d_model: int
    heads: int
    head_dim: int
    d_ff: int
    # Topology.
    encoder_layers: int
    decoder_layers: int
    # Feed-forward: act(x W_i) W_o, or gated: (act(x W_i0) * x W_i1) W_o.
    activation: Literal["relu", "gelu_tanh", "silu"] = "gelu_tanh"
    gated: bool = True
    # Position: learned bias per head and bucket of (key - query), one table a stack or one a layer.
    relative_bias: Literal["shared", "per_layer"] = "shared"
    relative_buckets: int = 32
    relative_max_distance: int = 128
    # Norm: RMS over the width, before each sub-layer and after each stack.
    norm_epsilon: float = 1e-6
    # Embedding and head. `scaled_logits` multiplies the logits by d_model ** -0.5.
    tied_embedding: bool = False
    scaled_logits: bool = False
    # Arithmetic. Parameters are float32 always; `dtype` is what they are cast to for computing.
    dropout: float = 0.0
    dtype: Literal["float32", "bfloat16", "float64"] = "float32"
    # How equal layers are applied; never changes parameters. auto: scan on TPU, unroll elsewhere.
    layers: Literal["auto", "scan", "unroll"] = "auto"
    # What the backward pass recomputes: nothing, all but matrix products, or whole layers.
    remat: Literal["none", "dots", "full"] = "none"

    def check(self, where: str) -> None:
        """Raises UserError naming the first field that is out of range or does not fit another."""
        for name in _POSITIVE:
            if getattr(self, name) < 1:
                raise UserError(f"{where}.{name}: {getattr(self, name)} is not positive")
        if self.vocab_size % 128:
            up = -(-self.vocab_size // 128) * 128
            raise UserError(
                f"{where}.vocab_size: {self.vocab_size} is not a multiple of 128; use {up}"
            )
        if not 0 <= self.dropout < 1:
            raise UserError(f"{where}.dropout: {self.dropout} is not in [0, 1)")
        if not (self.norm_epsilon > 0 and math.isfinite(self.norm_epsilon)):
            raise UserError(f"{where}.norm_epsilon: {self.norm_epsilon} is not a positive number")
        if self.relative_buckets % 4:
            raise UserError(
                f"{where}.relative_buckets: {self.relative_buckets} is not a multiple of 4 "
                "(half look ahead, half of each half are exact distances)"
            )
        if self.relative_max_distance <= self.relative_buckets // 2:
            raise UserError(
                f"{where}.relative_max_distance: {self.relative_max_distance} must exceed the "
                f"{self.relative_buckets // 2} exact distances of relative_buckets="
                f"{self.relative_buckets}"
            )
