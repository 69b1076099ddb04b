"""Held-out loss: the same objective on text that is never trained on."""

from collections.abc import Callable, Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np


def score(evaluate: Callable, state: dict, batches: Iterable, stop=None) -> dict[str, float]:
    """Returns mean `loss` per target token, `accuracy` and `weight` over all batches, and the means of
    what else the loss function sums.

    At most one batch is in flight ahead of the one being read. stop: checked between batches;
    when it becomes true the result is an empty dict. What is carried from batch to batch begins empty.
    """
    totals: dict[str, float] = {}
    pending, carry = None, _emptied(state["carry"])

    def add(sums) -> None:
        for name, value in jax.device_get(sums).items():
            totals[name] = totals.get(name, 0.0) + float(value)

    for batch in batches:
        sums, carry = evaluate(state["params"], state["frozen"], carry, batch)
        if pending is not None:
            add(pending)
        pending = sums
        if stop:
            jax.block_until_ready(pending)
            return {}
    if pending is not None:
        add(pending)
    counted, correct = totals.pop("weight", 0.0), totals.pop("correct", 0.0)
    weight = max(counted, 1.0)
    totals.pop("z_loss", None)
    means = {name: total / weight for name, total in totals.items()}
    return {
        **means,
        "loss": means.get("loss", 0.0),
        "accuracy": correct / weight,
        "weight": counted,
    }


def _emptied(carry: dict) -> dict:
    """Zeros like a run's carry, which is what its first step is handed, laid out as it is."""
    if not carry:
        return carry
    zeros = jax.jit(
        lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), carry),
        out_shardings=jax.tree.map(lambda x: x.sharding, carry),
    )
    return zeros()


def exchanged(batches: Iterable) -> Iterator:
    """Yields the batches with every row's encoder input replaced by its neighbour's."""
    for batch in batches:
        yield {**batch, "encoder": {k: np.roll(v, 1, axis=0) for k, v in batch["encoder"].items()}}


def input_blind_loss(batches: Iterable, free: np.ndarray) -> float:
    """Returns the loss per target token of the best predictor that cannot see any input.

    It is the unigram distribution of these very targets (in hindsight, so nothing without input can
    do better with a fixed distribution); the tokens in `free` (sentinels, EOS) cost it nothing.
    """
    counts: np.ndarray | None = None
    for batch in batches:
        tokens = batch["targets"][batch["weights"] > 0]
        found = np.bincount(tokens)
        if counts is None or len(found) > len(counts):
            found[: 0 if counts is None else len(counts)] += 0 if counts is None else counts
            counts = found
        else:
            counts[: len(found)] += found
    if counts is None or counts.sum() == 0:
        return float("nan")
    total = counts.sum()
    costly = counts.astype(np.float64)
    costly[free[free < len(costly)]] = 0
    share = costly[costly > 0] / costly.sum()
    return float(-(share * np.log(share)).sum() * costly.sum() / total)
