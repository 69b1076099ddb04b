"""Losses over a vocabulary from hidden states: where the logits are many, in chunks of tokens.

Float32 logits of every position at once are the largest array of a step (2048 x 114 positions of
T5's vocabulary: 30 GB). In chunks only one chunk's exist, forward and backward: the gradients of a
chunk are taken right after its loss, so nothing is computed twice.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from t2t.losses import cross_entropy
from t2t.parallel import sharding

# Each chunk adds its gradient to the kernel's: 8 bytes an element of the kernel to and from memory,
# against 6 FLOPs an element and token. At a thousand tokens of T5's vocabulary, which is this much,
# that is a quarter of the products' time on TPU v5p; in smaller chunks it would soon be all of it.
LOGITS_BYTES = 128 << 20


class Chunks(NamedTuple):
    """On which mesh a loss is computed, and of how many target tokens of a device at once."""

    mesh: Mesh | None = None
    tokens: int | None = None  # None: what fits in LOGITS_BYTES


def vocabulary_loss(
    head: Callable[[jax.Array], jax.Array],
    hidden: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
    chunks: Chunks | None = None,
) -> dict[str, jax.Array]:
    """The sums of `cross_entropy` of head(hidden [..., E]) -> [..., V] against targets [...].

    chunks: see `summed`.
    """
    loss = functools.partial(cross_entropy, z_loss=z_loss, label_smoothing=label_smoothing)
    return summed(loss, head, hidden, targets, weights, chunks)


def summed(
    loss: Callable[..., dict[str, jax.Array]],
    head: Callable[[jax.Array], Any],
    hidden: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    chunks: Chunks | None = None,
) -> dict[str, jax.Array]:
    """The sums of loss(head(hidden [..., E]), targets [...], weights [...]), of which one is `objective`.

    head returns logits [..., V], or several of them. chunks None: all at once. What head closes over
    gets its gradient too. In chunks `objective` alone is differentiable, the other sums are
    constants, and head is given a device's own tokens, [n, E].
    """
    size = None if chunks is None else _tokens_at_once(head, hidden, targets, chunks)
    if size is None:
        return loss(head(hidden), targets, weights)
    example = jnp.zeros((size, hidden.shape[-1]), hidden.dtype)
    # The parameters that head reads, out of all that it could.
    head, kernels = jax.closure_convert(lambda x: head(x), example)
    plan = _Plan(head, tuple(k.dtype for k in kernels), size, loss, chunks.mesh)
    # Gathered in the type in which they are multiplied: half the bytes.
    kernels = [k.astype(hidden.dtype) if k.ndim > 1 else k for k in kernels]
    objective, sums = _chunked(plan, kernels, hidden, targets, weights)
    return {"objective": objective, **jax.lax.stop_gradient(sums)}


class _Plan(NamedTuple):
    head: Callable  # (x [tokens, E], *kernels) -> logits, or several of them
    dtypes: tuple  # of the kernels, as head takes them
    size: int  # tokens at once
    of_logits: Callable  # (logits, targets, weights) -> sums
    mesh: Mesh | None

    def loss(self, x, kernels, targets, weights) -> tuple[jax.Array, dict]:
        kernels = [k.astype(dtype) for k, dtype in zip(kernels, self.dtypes, strict=True)]
        sums = self.of_logits(self.head(x, *kernels), targets, weights)
        return sums.pop("objective"), sums


def _tokens_at_once(head: Callable, hidden, targets, chunks: Chunks) -> int | None:
    """How many tokens of a device to take at once; None: all of them are few enough."""
    columns = sum(one.shape[-1] for one in jax.tree.leaves(jax.eval_shape(head, hidden)))
    own = targets.size
    if chunks.mesh is not None:
        own = math.prod(sharding.batch_sharding(chunks.mesh, targets).shard_shape(targets.shape))
        tensor = chunks.mesh.shape["tensor"]
        columns //= tensor if columns % tensor == 0 else 1
    most = chunks.tokens or max(LOGITS_BYTES // (4 * columns), 1)
    return None if own <= most else -(-own // -(-own // most))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _chunked(plan: _Plan, kernels, hidden, targets, weights):
    return _on_mesh(_sums, plan, kernels, hidden, targets, weights)


def _forward(plan: _Plan, kernels, hidden, targets, weights):
    sums, gradients = _on_mesh(_gradients, plan, kernels, hidden, targets, weights)
    return sums, gradients


def _backward(plan: _Plan, gradients, given):
    scale, _ = given  # of `objective`; the sums beside it are constants
    kernels, hidden = jax.tree.map(lambda g: (g * scale).astype(g.dtype), gradients)
    return kernels, hidden, None, None


_chunked.defvjp(_forward, _backward)


def _on_mesh(compute: Callable, plan: _Plan, kernels, hidden, targets, weights):
    """Runs `compute` on every device's own tokens, with whole kernels but for `tensor`'s part.

    Left to the partitioner, each chunk's gradient would be summed over the devices by itself.
    """
    place, axes = PartitionSpec(), ()
    if plan.mesh is not None:
        place = sharding.batch_sharding(plan.mesh, targets).spec
        axes = tuple(
            a for entry in place for a in ((entry,) if isinstance(entry, str) else entry or ())
        )
    run = functools.partial(compute, plan, axes)
    if not axes:
        return run(kernels, hidden, targets, weights)
    whole = PartitionSpec()
    own_hidden = PartitionSpec(*place, *[None] * (targets.ndim - len(place)))
    out = (whole, whole) if compute is _sums else ((whole, whole), (whole, own_hidden))
    return jax.shard_map(
        run,
        mesh=plan.mesh,
        in_specs=(whole, own_hidden, place, place),
        out_specs=out,
        axis_names=set(axes),
        check_vma=False,
    )(kernels, hidden, targets, weights)


def _pieces(size: int, *arrays: jax.Array, lead: int) -> list[jax.Array]:
    """[..., *] -> [chunks, size, *], the last filled with zeros; `lead` dimensions are tokens."""
    out = []
    for x in arrays:
        flat = x.reshape(-1, *x.shape[lead:])
        missing = -flat.shape[0] % size
        flat = jnp.pad(flat, ((0, missing), *[(0, 0)] * (flat.ndim - 1)))
        out.append(flat.reshape(-1, size, *flat.shape[1:]))
    return out


def _sums(plan: _Plan, axes, kernels, hidden, targets, weights):
    def add(total, piece):
        x, t, w = piece
        return jax.tree.map(jnp.add, total, plan.loss(x, kernels, t, w)), None

    pieces = _pieces(plan.size, hidden, targets, weights, lead=targets.ndim)
    first = jax.eval_shape(plan.loss, pieces[0][0], kernels, pieces[1][0], pieces[2][0])
    total, _ = jax.lax.scan(add, _zeros(first), pieces)
    return jax.lax.psum(total, axes) if axes else total


def _gradients(plan: _Plan, axes, kernels, hidden, targets, weights):
    """(sums, gradients of `objective` in kernels and hidden), chunk by chunk."""

    def add(carry, piece):
        x, t, w = piece
        objective, pull, sums = jax.vjp(
            lambda x, kernels: plan.loss(x, kernels, t, w), x, kernels, has_aux=True
        )
        of_x, of_kernels = pull(jnp.ones_like(objective))
        total, gradient = carry
        total = jax.tree.map(jnp.add, total, (objective, sums))
        gradient = jax.tree.map(lambda g, more: g + more.astype(g.dtype), gradient, of_kernels)
        return (total, gradient), of_x

    pieces = _pieces(plan.size, hidden, targets, weights, lead=targets.ndim)
    first = jax.eval_shape(plan.loss, pieces[0][0], kernels, pieces[1][0], pieces[2][0])
    wide = [jnp.zeros(k.shape, jnp.promote_types(k.dtype, jnp.float32)) for k in kernels]
    (total, gradient), of_hidden = jax.lax.scan(add, (_zeros(first), wide), pieces)
    gradient = [g.astype(k.dtype) for g, k in zip(gradient, kernels, strict=True)]
    if axes:
        total, gradient = jax.lax.psum((total, gradient), axes)
    of_hidden = of_hidden.reshape(-1, hidden.shape[-1])[: targets.size].reshape(hidden.shape)
    return total, (gradient, of_hidden)


def _zeros(shapes):
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
