"""The transformer: from an Architecture to plain functions of plain parameters."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.attention import AttentionFunction, Place, Visibility, plain_attention
from t2t.models.block import LayerCache, Surroundings
from t2t.models.dropout import split_key
from t2t.models.embeddings import Embedding
from t2t.models.heads import add_heads, vocabulary_logits
from t2t.models.input_embedding import add_tables, embed
from t2t.models.lora import add_adapters
from t2t.models.lora_config import LoRA
from t2t.models.parameters import Constrain, Declare, Spread, unsplit, wide
from t2t.models.stack import Stack
from t2t.models.two_stream import TwoStreamStack

Params = dict[str, Any]
_ADAPTERS = 2**31  # folded into the key: no parameter of the model itself has that number


class Cache(NamedTuple):
    """What decoding keeps between steps."""

    layers: tuple[LayerCache, ...]
    position: jax.Array  # int32 scalar: tokens stored so far
    encoder_segments: jax.Array | None  # [B, S]; None when every input is one full segment
    # [B]: tokens stored before each row's text begins, which nothing sees; None: none anywhere.
    padding: jax.Array | None = None


class Model(NamedTuple):
    """A network as functions. Parameters are a nested dict of arrays; names are the plain path.

    A part of a batch (`encoder`, `decoder`) is {tokens [B, T], segments?, positions?, types?, tasks?};
    of a decoder also `prefix?` [B, T], not 0 on tokens that all of their segment see (prefix LM); of an
    encoder with relative attention what `TwoStreamStack` takes.
    aux: by stack, of every layer, what its experts say (see `Experts`).
    """

    arch: Architecture
    drops: bool  # whether training drops anything
    shapes: Params  # of jax.ShapeDtypeStruct; costs no memory at any size
    axes: Params  # of tuples of logical axis names, same structure
    units: dict[str, int]  # logical axis -> indivisible units along it, where not its size
    init: Callable[..., Params]  # (key) -> params
    forward: Callable[..., tuple]  # (params, batch, dropout_key=None) -> (hidden, None, aux)
    logits: Callable[..., jax.Array]  # (params, hidden [..., E]) -> [..., V] float32
    pair_logits: Callable[..., jax.Array]  # (params, hidden of first tokens) -> [..., classes]
    token_logits: Callable[..., jax.Array]  # (params, hidden [..., E]) -> [..., classes], float32
    replaced_logits: Callable[..., jax.Array]  # (params, hidden [..., E]) -> [...], float32
    encode: Callable[..., tuple]  # (params, encoder, dropout_key=None) -> (encoded, aux)
    # (params, encoded, encoder_segments, longest, copies=1, padding=None)
    start_cache: Callable[..., Cache]
    decode: Callable[..., tuple]  # (params, tokens [B, T], cache) -> (hidden, cache, aux)


class Transformer(nnx.Module):
    """Declares all parameters and computes hidden states: encoder and decoder, or one of them."""

    def __init__(
        self,
        arch: Architecture,
        key: jax.Array,
        constrain: Constrain,
        attention: AttentionFunction,
        spread: Spread,
    ):
        declare = Declare(key)

        def stack(layers: int, decoder: bool) -> Stack:
            return Stack(arch, declare, layers, decoder, constrain, attention, spread)

        self.token_embedding = Embedding(arch, declare, arch.vocab_size)
        if arch.relative_attention:
            self.encoder = TwoStreamStack(arch, declare, arch.encoder_layers, constrain, attention)
        elif arch.encoder_layers:
            self.encoder = stack(arch.encoder_layers, decoder=False)
        if arch.decoder_layers:
            self.decoder = stack(arch.decoder_layers, decoder=True)
        add_heads(self, arch, declare)
        add_tables(self, arch, declare)
        self.arch = arch
        self.drops = any(
            (arch.dropout, arch.layer_dropout, arch.expert_dropout, arch.router_jitter)
        )
        self.constrain = constrain

    def embed(
        self, side: dict, decoder: bool, first: jax.Array | int = 0
    ) -> tuple[jax.Array, Place | None]:
        """A part of a batch, from position `first` on, embedded; and the place of its tokens."""
        arch, tokens = self.arch, side["tokens"]
        positions = side.get("positions", first + jnp.arange(tokens.shape[-1]))
        x = embed(self, side, positions, self.constrain, decoder)
        needed = arch.rotary_base or arch.layer_scaled_attention
        return x, Place(positions) if needed else None

    def _used(self, dropout_key: jax.Array | None) -> jax.Array | None:
        """The key, where anything is dropped at all: a model without dropout splits no keys."""
        return dropout_key if self.drops else None

    def encode(self, encoder: dict, dropout_key: jax.Array | None = None):
        if not self.arch.encoder_layers:  # a decoder alone reads nothing beforehand
            rows = encoder["tokens"].shape[0]
            return jnp.zeros((rows, 0, self.arch.d_model), self.arch.dtype), {}
        segments = encoder.get("segments")
        x, place = self.embed(encoder, decoder=False)
        if self.arch.relative_attention:
            return self.encoder(x, encoder, self._used(dropout_key))
        around = Surroundings(Visibility(segments, segments), place=place)
        x, _, aux = self.encoder(x, around, None, self._used(dropout_key))
        return x, aux

    def forward(self, batch: dict, dropout_key: jax.Array | None = None):
        if not self.arch.decoder_layers:
            x, aux = self.encode(batch["encoder"], dropout_key)
            return x, None, {"encoder": aux}
        encoder_key, decoder_key = split_key(self._used(dropout_key), 2)
        segments, prefix = (batch["decoder"].get(name) for name in ("segments", "prefix"))
        around, aux = Surroundings(Visibility(segments, segments, True, prefix=prefix)), {}
        if self.arch.encoder_layers:
            encoded, aux["encoder"] = self.encode(batch["encoder"], encoder_key)
            around = around._replace(
                encoded=encoded,
                # Several targets of one input may stand side by side as rows: one longer row to it.
                cross_visibility=Visibility(
                    None if segments is None else segments.reshape(encoded.shape[0], -1),
                    batch["encoder"].get("segments"),
                ),
            )
        x, place = self.embed(batch["decoder"], decoder=True)
        x, _, aux["decoder"] = self.decoder(x, around._replace(place=place), None, decoder_key)
        return x, None, aux

    def start_cache(
        self,
        encoded: jax.Array,
        encoder_segments,
        longest: int,
        copies: int = 1,
        padding: jax.Array | None = None,
    ) -> Cache:
        """For `longest` positions of `copies` outputs of every input, side by side as rows, the
        first `padding` [rows] of each not its own."""
        empty = jnp.zeros(
            (encoded.shape[0] * copies, self.arch.key_heads, longest, self.arch.head_dim),
            self.arch.dtype,
        )
        layers = self.decoder.start_cache(encoded, empty)
        return Cache(layers, jnp.zeros((), jnp.int32), encoder_segments, padding)

    def decode(self, tokens: jax.Array, cache: Cache):
        # The text being written is segment 1, like an input that stands alone in its row.
        segments = None
        if cache.encoder_segments is not None:
            inputs = cache.encoder_segments.shape[0]
            segments = jnp.ones((inputs, tokens.size // inputs), tokens.dtype)
        side = {"tokens": tokens}
        visibility = Visibility(causal=True, first_query=cache.position)
        if cache.padding is not None:
            stored, padding = jnp.arange(cache.layers[0].longest), cache.padding[:, None]
            now = cache.position + jnp.arange(tokens.shape[1])
            side["positions"] = jnp.maximum(now - padding, 0)
            visibility = visibility._replace(
                query_segments=(now >= padding).astype(jnp.int32),
                key_segments=(stored >= padding).astype(jnp.int32),
            )
        x, place = self.embed(side, True, cache.position)
        around = Surroundings(
            visibility,
            cross_visibility=Visibility(segments, cache.encoder_segments),
            place=place,
        )
        x, layers, aux = self.decoder(x, around, cache.layers)
        cache = cache._replace(layers=layers, position=cache.position + tokens.shape[1])
        return x, cache, aux

    def logits(self, hidden: jax.Array) -> jax.Array:
        return vocabulary_logits(self, hidden)

    def pair_logits(self, first: jax.Array) -> jax.Array:
        return self.pair_head(first)

    def token_logits(self, hidden: jax.Array) -> jax.Array:
        logits = self.token_head(hidden)
        return logits.astype(wide(logits.dtype))

    def replaced_logits(self, hidden: jax.Array) -> jax.Array:
        return self.replaced_head(hidden)


def common_units(model: Model, other: Model) -> dict[str, int]:
    """Units of the axes of two models on one mesh: where heads are split, those of both must be."""
    return {name: math.gcd(n, other.units[name]) for name, n in model.units.items()}


def build(
    arch: Architecture,
    constrain: Constrain = lambda x, names: x,
    attention: AttentionFunction = plain_attention,
    spread: Spread = unsplit,
    platform: str | None = None,
    lora: LoRA | None = None,
) -> Model:
    """The model of `arch`, with LoRA's adapters beside its kernels where asked for.

    `constrain(x, names)` pins an activation's sharding by logical names; `spread(x, rows)` gives each
    part that rows are split into an x of its own.

    platform: "tpu", "gpu" or "cpu", what the programs are for (default: the default backend); it
    decides what `layers="auto"` is.
    """
    if arch.layers == "auto":
        scan = (platform or jax.default_backend()) == "tpu"
        arch = dataclasses.replace(arch, layers="scan" if scan else "unroll")

    def module(key: jax.Array) -> Transformer:
        network = Transformer(arch, key, constrain, attention, spread)
        if lora is not None:
            network.drops |= lora.dropout > 0
            add_adapters(network, lora, jax.random.fold_in(key, _ADAPTERS))
        return network

    # Modules only declare and compute: split once here, plain dicts and functions from here on.
    network = nnx.eval_shape(lambda: module(jax.random.key(0)))
    graph, abstract = nnx.split(network)
    is_variable = lambda leaf: isinstance(leaf, nnx.Variable)

    def plain(read: Callable) -> Params:
        return nnx.to_pure_dict(jax.tree.map(read, abstract, is_leaf=is_variable))

    def bind(params: Params) -> Transformer:
        state = jax.tree.map(lambda leaf: leaf, abstract)
        nnx.replace_by_pure_dict(state, params)
        return nnx.merge(graph, state)

    def init(key: jax.Array) -> Params:
        return nnx.to_pure_dict(nnx.state(module(key), nnx.Param))

    def method(name: str) -> Callable:
        def call(params: Params, *args, **kwargs):
            return getattr(bind(params), name)(*args, **kwargs)

        return call

    return Model(
        arch=arch,
        drops=network.drops,
        shapes=plain(lambda v: jax.ShapeDtypeStruct(v.get_value().shape, v.get_value().dtype)),
        axes=plain(lambda v: tuple(v.get_metadata("out_sharding"))),
        units={"heads*kv": arch.heads, "kv_heads*kv": arch.key_heads},
        init=init,
        forward=method("forward"),
        logits=method("logits"),
        pair_logits=method("pair_logits"),
        token_logits=method("token_logits"),
        replaced_logits=method("replaced_logits"),
        encode=method("encode"),
        start_cache=method("start_cache"),
        decode=method("decode"),
    )
