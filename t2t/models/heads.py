"""Heads: from hidden states to logits of a vocabulary, of a pair's classes, of a token's being real."""

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.embeddings import to_vocabulary
from t2t.models.feed_forward import ACTIVATIONS
from t2t.models.initialization import initializer
from t2t.models.norms import norm
from t2t.models.parameters import Declare, Linear, fan_in_truncated, wide

POOLERS = {"tanh": jnp.tanh, **{name: ACTIVATIONS[name] for name in ("relu", "gelu")}}


class VocabularyBias(nnx.Module):
    """A bias a vocabulary entry, [V]."""

    def __init__(self, arch: Architecture, declare: Declare):
        self.bias = declare(jax.nn.initializers.zeros, (arch.vocab_size,), ("vocab",))


class MaskedHead(nnx.Module):
    """norm(act(x W + b)), [..., E] -> [..., width of the embedding] (BERT's transform)."""

    def __init__(self, arch: Architecture, declare: Declare):
        self.dense = _dense(arch, declare, arch.d_model, arch.embedding_width)
        self.norm = norm(arch, declare, arch.embedding_width)
        self.activation = arch.activation

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.norm(ACTIVATIONS[self.activation](self.dense(x)))


class ReplacedHead(nnx.Module):
    """act(x W + b) w + c, [..., E] -> [...]: is the token not the original one (ELECTRA)."""

    def __init__(self, arch: Architecture, declare: Declare):
        self.dense = _dense(arch, declare, arch.d_model, arch.d_model)
        self.logit = _dense(arch, declare, arch.d_model, 1, "classes")
        self.activation = arch.activation

    def __call__(self, x: jax.Array) -> jax.Array:
        logit = self.logit(ACTIVATIONS[self.activation](self.dense(x)))[..., 0]
        return logit.astype(wide(logit.dtype))


class PairHead(nnx.Module):
    """act(x W + b) V + c, [..., E] of a [CLS] -> [..., classes] (BERT's pooler, NSP, classifiers)."""

    def __init__(self, arch: Architecture, declare: Declare):
        self.pooler = _dense(arch, declare, arch.d_model, arch.d_model)
        self.classifier = _dense(arch, declare, arch.d_model, arch.pair_classes, "classes")
        self.activation = POOLERS[arch.pooler_activation]

    def __call__(self, x: jax.Array) -> jax.Array:
        logits = self.classifier(self.activation(self.pooler(x)))
        return logits.astype(wide(logits.dtype))


def _dense(arch: Architecture, declare: Declare, inputs: int, outputs: int, axis: str = "mlp"):
    init = initializer(arch, fan_in_truncated)
    return Linear(declare, init, (inputs, outputs), ("embed", axis), arch.dtype, True)


def add_heads(network: nnx.Module, arch: Architecture, declare: Declare) -> None:
    """Gives the network the heads that the family has."""
    if arch.head == "replaced":
        network.replaced_head = ReplacedHead(arch, declare)
    elif not arch.tied_embedding:
        shape, axes = (arch.d_model, arch.vocab_size), ("embed", "vocab")
        init = initializer(arch, fan_in_truncated)
        network.lm_head = Linear(declare, init, shape, axes, arch.dtype)
    if arch.head == "masked":
        network.masked_head = MaskedHead(arch, declare)
    if arch.vocabulary_bias:
        network.vocabulary_bias = VocabularyBias(arch, declare)
    if arch.pair_classes:
        network.pair_head = PairHead(arch, declare)
    if arch.token_classes:
        network.token_head = _dense(arch, declare, arch.d_model, arch.token_classes, "classes")


def tied_table(network: nnx.Module) -> jax.Array:
    """The embedding [V, E] that is also the head's kernel: that of the stack whose states it reads."""
    own = network.arch.separate_embeddings
    return (network.decoder_token_embedding if own else network.token_embedding).table[...]


def vocabulary_logits(network: nnx.Module, hidden: jax.Array) -> jax.Array:
    """Hidden states [..., E] -> logits [..., V], float32."""
    arch = network.arch
    tied = arch.tied_embedding
    kernel = network.lm_head.kernel[...] if not tied else tied_table(network).T
    if arch.head == "masked":
        hidden = network.masked_head(hidden)
        if hidden.ndim == 3:
            # Left to itself the partitioner splits this width as the head's kernel is split, and its
            # gradients on 2x2x2 devices are wrong (jax 0.10.2; openxla/xla#40034 looks alike).
            hidden = network.constrain(hidden, ("batch", "length", "embed"))
    if arch.scaled_logits:
        hidden = hidden * arch.d_model**-0.5
    logits = to_vocabulary(hidden, kernel.astype(arch.dtype))
    if arch.vocabulary_bias:
        logits = logits + network.vocabulary_bias.bias[...]
    if arch.logits_softcap:
        logits = arch.logits_softcap * jnp.tanh(logits / arch.logits_softcap)
    names = ("batch", "length", "vocab")
    return network.constrain(logits, names) if logits.ndim == 3 else logits
