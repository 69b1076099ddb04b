"""What a stack reads: token, position, type and task embeddings, summed, normed and projected."""

import jax
import jax.numpy as jnp
from flax import nnx

from t2t.models.architecture import Architecture
from t2t.models.embeddings import Embedding
from t2t.models.initialization import initializer
from t2t.models.norms import norm
from t2t.models.parameters import Constrain, Declare, Linear, fan_in_truncated


def add_tables(network: nnx.Module, arch: Architecture, declare: Declare) -> None:
    """Gives the network the tables and layers around its token embedding that the family has."""
    if arch.separate_embeddings:
        network.decoder_token_embedding = Embedding(arch, declare, arch.vocab_size)
    for name, rows, axis in (
        ("position_embedding", arch.learned_positions, "positions"),
        ("type_embedding", arch.token_types, "types"),
        ("task_embedding", arch.task_types, "types"),
    ):
        if rows:
            setattr(network, name, Embedding(arch, declare, rows, axis))
    if arch.embedding_norm:
        network.embedding_norm = norm(arch, declare, arch.embedding_width)
    if arch.d_embedding:
        shape, axes = (arch.d_embedding, arch.d_model), ("mlp", "embed")
        network.embedding_projection = Linear(
            declare, initializer(arch, fan_in_truncated), shape, axes, arch.dtype, arch.biases
        )


def embed(
    network: nnx.Module, side: dict, place: jax.Array, constrain: Constrain, decoder: bool
) -> jax.Array:
    """One part of a batch, {tokens [B, T], types?, tasks?}, at positions [T] or [B, T] -> [B, T, E].

    Without `types` every token is of type 0, without `tasks` of task 0.
    """
    arch, tokens = network.arch, side["tokens"]
    own = decoder and arch.separate_embeddings
    x = (network.decoder_token_embedding if own else network.token_embedding)(tokens, constrain)
    if arch.scaled_embedding:
        x = x * jnp.asarray(arch.d_model**0.5, x.dtype)  # as Gemma, rounded to the type of x
    if arch.learned_positions:
        x = x + network.position_embedding(place + arch.first_position, constrain)
    if arch.token_types:
        x = x + network.type_embedding(side.get("types", jnp.zeros_like(tokens)), constrain)
    if arch.task_types:
        x = x + network.task_embedding(side.get("tasks", jnp.zeros_like(tokens)), constrain)
    if arch.embedding_norm:
        x = network.embedding_norm(x)
    return network.embedding_projection(x) if arch.d_embedding else x
