"""A transformer as a value: one field an axis. A family is such a value, never a subclass."""

import math
from dataclasses import dataclass
from typing import Literal

from t2t.errors import UserError

# What a model is by its stacks; tasks, objectives and decoding go by it.
ENCODER_DECODER, ENCODER, DECODER = "an encoder-decoder", "an encoder alone", "a decoder alone"

_POSITIVE = (
    "vocab_size",
    "d_model",
    "heads",
    "head_dim",
    "d_ff",
    "relative_buckets",
    "relative_max_distance",
    "window_every",
    "expert_every",
    "expert_capacity",
)
_NOT_NEGATIVE = (
    "encoder_layers",
    "decoder_layers",
    "kv_heads",
    "learned_positions",
    "first_position",
    "rotary_base",
    "layer_groups",
    "d_embedding",
    "token_types",
    "task_types",
    "pair_classes",
    "token_classes",
    "query_scalar",
    "attention_softcap",
    "logits_softcap",
    "window",
    "experts",
)
# What the layers of `relative_attention` do not have.
_NOT_WITH_RELATIVE = (
    "kv_heads",
    "learned_positions",
    "rotary_base",
    "layer_groups",
    "token_types",
    "task_types",
    "query_scalar",
    "attention_softcap",
    "layer_scaled_attention",
    "window",
    "experts",
    "layer_dropout",
)


@dataclass(frozen=True)
class Architecture:
    """Everything that decides the shapes and the arithmetic of a transformer.

    Without decoder layers it is an encoder alone (BERT's kin), without encoder layers a decoder alone
    (GPT's). The defaults are T5 v1.1's.
    """

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
    activation: Literal["relu", "gelu", "gelu_tanh", "silu"] = "gelu_tanh"
    gated: bool = True
    # A bias beside every kernel of attention and feed-forward.
    biases: bool = False
    # Mixture of experts: the second of every `expert_every` layers has so many feed-forward networks
    # in the place of one (0: none), of which each token takes the likeliest; each serves the first
    # `expert_capacity` tokens of a row that ask for it (Switch, arXiv:2101.03961).
    experts: int = 0
    expert_every: int = 2
    expert_capacity: int = 64
    # In training what the router reads is multiplied by numbers drawn from 1 - this to 1 + this.
    router_jitter: float = 0.0
    # Attention. Keys and values have heads of their own, each for heads / kv_heads queries (0: one
    # each). Queries are scaled by head_dim ** -0.5 (T5: not), and over the layer's number, from 1.
    kv_heads: int = 0
    scaled_attention: bool = False
    layer_scaled_attention: bool = False
    # The number whose root `scaled_attention` divides by where it is not head_dim (0: that), and a cap
    # c of the scores, c tanh(score / c), 0: none (Gemma 2).
    query_scalar: int = 0
    attention_softcap: float = 0.0
    # All but every `window_every`th layer see only so far: a decoder so many tokens back, its own
    # counted; an encoder so many both ways (0: all see everything).
    window: int = 0
    window_every: int = 2
    # Position: learned bias per head and bucket of (key - query), one table a stack or one a layer.
    relative_bias: Literal["shared", "per_layer", "none"] = "shared"
    relative_buckets: int = 32
    relative_max_distance: int = 128
    # Rows of a learned table that is added to the embedding, the first position's row, and the base
    # of rotary positions; 0 of rows or base: none.
    learned_positions: int = 0
    first_position: int = 0
    rotary_base: float = 0.0
    # Transformer-XL's attention, by sinusoids of distances, with XLNet's segment types and its stream
    # of queries (t2t.models.two_stream); attention has no `biases` then, only feed-forward.
    relative_attention: bool = False
    # Norm, with a scale, or with one plus a weight: before each sub-layer and after each stack, after
    # each sum of sub-layer and residual, or around: before and after each sub-layer.
    norm: Literal["rms", "rms_plus_one", "layer"] = "rms"
    norm_place: Literal["before", "after", "around"] = "before"
    norm_epsilon: float = 1e-6
    # Layers that are one another's parameters: this many, each used for a run of layers (0: all).
    layer_groups: int = 0
    # Embedding and head. `scaled_logits` multiplies the logits by d_model ** -0.5.
    tied_embedding: bool = False
    scaled_logits: bool = False
    logits_softcap: float = 0.0
    # The embedding times the root of d_model; a table of the decoder's own (which a tied head reads).
    scaled_embedding: bool = False
    separate_embeddings: bool = False
    # Width of the embedding, where a projection follows it (0: d_model); tables of segment types and
    # of tasks that are added to it (0: none), and a norm of the sum.
    d_embedding: int = 0
    token_types: int = 0
    task_types: int = 0
    embedding_norm: bool = False
    # vocabulary: hidden states to logits. masked: a dense layer, the activation and a norm before
    # that. replaced: one logit a token, for the tokens themselves. Beside it the logits of `pair_classes`
    # from a [CLS] that is pooled by a dense layer and pooler_activation (0: none; ELECTRA's GELU and
    # DistilBERT's ReLU are those of their fine-tuning), those of `token_classes` for every token
    # (ERNIE 2.0's tasks, 0: none), and a bias a vocabulary entry.
    head: Literal["vocabulary", "masked", "replaced"] = "vocabulary"
    vocabulary_bias: bool = False
    pair_classes: int = 0
    pooler_activation: Literal["tanh", "relu", "gelu"] = "tanh"
    token_classes: int = 0
    # Initialisation: T5X's, by fan-in, or normal with deviation 0.02 (BERT, GPT), which residual
    # kernels may divide by the root of twice the layers (GPT-2). T5X's variances of kernels are times
    # kernel_scale (Switch, section 2.4: 0.1).
    initialization: Literal["t5x", "normal", "normal_residual"] = "t5x"
    kernel_scale: float = 1.0
    # Arithmetic. Parameters are float32 always; `dtype` is what they are cast to for computing.
    # along_length: one draw for all positions of a row (T5X), and one more after a stack.
    # layer_dropout: a row goes past layer l of L, from 1, with chance l / L times this (stochastic
    # depth, arXiv:1603.09382); of experts' periods, past one as a whole. expert_dropout: within
    # experts, where it is over `dropout` (Switch, table 4: 0.4 in fine-tuning, 0.1 elsewhere).
    dropout: float = 0.0
    dropout_along_length: bool = True
    layer_dropout: float = 0.0
    expert_dropout: float = 0.0
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
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise UserError(f"{where}.{name}: {getattr(self, name)} is negative")
        if not self.encoder_layers + self.decoder_layers:
            raise UserError(f"{where}.encoder_layers: neither stack has a layer")
        if self.vocab_size % 128:
            up = -(-self.vocab_size // 128) * 128
            raise UserError(
                f"{where}.vocab_size: {self.vocab_size} is not a multiple of 128; use {up}"
            )
        for name in ("dropout", "layer_dropout", "expert_dropout", "router_jitter"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{where}.{name}: {getattr(self, name)} is not in [0, 1)")
        if not (self.norm_epsilon > 0 and math.isfinite(self.norm_epsilon)):
            raise UserError(f"{where}.norm_epsilon: {self.norm_epsilon} is not a positive number")
        if not (self.kernel_scale > 0 and math.isfinite(self.kernel_scale)):
            raise UserError(f"{where}.kernel_scale: {self.kernel_scale} is not a positive number")
        if self.kernel_scale != 1 and self.initialization != "t5x":
            raise UserError(f"{where}.kernel_scale: is for initialization='t5x'")
        self._check_fit(where)
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

    def _check_fit(self, where: str) -> None:
        """Checks the axes against each other."""
        if self.kv_heads and self.heads % self.kv_heads:
            raise UserError(f"{where}.kv_heads: {self.kv_heads} does not divide heads={self.heads}")
        if self.rotary_base and self.head_dim % 2:
            raise UserError(
                f"{where}.head_dim: {self.head_dim} is odd; rotary positions turn pairs"
            )
        for layers in filter(None, (self.encoder_layers, self.decoder_layers)):
            if self.window and self.experts:
                raise UserError(f"{where}.window: is not for layers with experts")
            if self.layer_groups and layers % self.layer_groups:
                raise UserError(
                    f"{where}.layer_groups: {self.layer_groups} does not divide {layers} layers"
                )
            if self.experts and layers % self.expert_every:
                raise UserError(
                    f"{where}.expert_every: {self.expert_every} does not divide {layers} layers"
                )
        for name in ("router_jitter", "expert_dropout"):
            if getattr(self, name) and not self.experts:
                raise UserError(f"{where}.{name}: needs experts")
        for name in ("gated", "biases", "layer_groups"):
            if self.experts and getattr(self, name):
                raise UserError(f"{where}.{name}: is not for layers with experts")
        if self.relative_attention:
            self._check_relative(where)
        if self.query_scalar and not self.scaled_attention:
            raise UserError(f"{where}.query_scalar: needs scaled_attention")
        if self.layer_scaled_attention and not self.scaled_attention:
            raise UserError(
                f"{where}.layer_scaled_attention: divides the scale of scaled_attention, which is off"
            )
        if self.encoder_layers and self.decoder_layers:
            for name in ("learned_positions", "token_types", "pair_classes", "token_classes"):
                if getattr(self, name):
                    raise UserError(f"{where}.{name}: is for an encoder or a decoder alone")
        elif self.separate_embeddings:
            raise UserError(f"{where}.separate_embeddings: needs an encoder and a decoder")
        if not self.encoder_layers or self.decoder_layers:
            for name in ("token_types", "task_types", "pair_classes", "token_classes"):
                if getattr(self, name):
                    raise UserError(f"{where}.{name}: is for an encoder alone")
            if self.head != "vocabulary":
                raise UserError(f"{where}.head: {self.head!r} is for an encoder alone")
        if self.d_embedding and not (self.tied_embedding or self.head == "replaced"):
            raise UserError(f"{where}.d_embedding: needs tied_embedding")

    def _check_relative(self, where: str) -> None:
        """Checks what goes with relative attention: an encoder alone, normed after each sum."""
        if self.decoder_layers:
            raise UserError(f"{where}.relative_attention: is for an encoder alone")
        for name in _NOT_WITH_RELATIVE:
            if getattr(self, name):
                raise UserError(f"{where}.{name}: is not for relative_attention")
        for name, due in (
            ("relative_bias", "none"),
            ("norm_place", "after"),
            ("scaled_attention", True),
        ):
            if getattr(self, name) != due:
                raise UserError(
                    f"{where}.{name}: must be {due!r} with relative_attention, not "
                    f"{getattr(self, name)!r}"
                )
        if self.d_model % 2:
            raise UserError(f"{where}.d_model: {self.d_model} is odd; sinusoids come in pairs")

    @property
    def stacks(self) -> str:
        """ENCODER_DECODER, ENCODER or DECODER."""
        if self.encoder_layers and self.decoder_layers:
            return ENCODER_DECODER
        return ENCODER if self.encoder_layers else DECODER

    @property
    def positions(self) -> int | None:
        """How many tokens of a text there are positions for; None: any number."""
        return self.learned_positions - self.first_position if self.learned_positions else None

    @property
    def summary_last(self) -> bool:
        """Whether [CLS], whose state stands for a text, stands behind it (XLNet) or before it."""
        return self.relative_attention

    @property
    def embedding_width(self) -> int:
        """Columns of the embedding table."""
        return self.d_embedding or self.d_model

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.kv_heads or self.heads
