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
    count = 0
    pending, carry = None, _emptied(state["carry"])

    def add(sums) -> None:
        for name, value in jax.device_get(sums).items():
            totals[name] = totals.get(name, 0.0) + float(value)

    for batch in batches:
        sums, carry = evaluate(state["params"], state["frozen"], carry, batch)
        count += 1
        if pending is not None:
            add(pending)
        pending = sums
        if stop:
            jax.block_until_ready(pending)
            return {}
    if pending is not None:
        add(pending)
    counted, correct = totals.pop("weight", 0.0), totals.pop("correct", 0.0)
    # Batches without any token to predict tell of other tasks alone, once each.
    weight = max(counted or count, 1.0)
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


def input_blind_loss(batches: Iterable, free: np.ndarray, mask_id: int | None = None) -> float:
    """Returns the loss per target token of the best predictor that cannot see any input.

    It is the unigram distribution of these very targets (in hindsight, so nothing without input can
    do better with a fixed distribution); the tokens in `free` (sentinels, EOS) cost it nothing.
    mask_id: of masked text, whose predictions see what stands at their own place. So does this
    predictor: where that is no mask it is the target with the share of places that stayed as they were.
    """
    counts = np.zeros(0, np.int64)
    stayed = written = 0
    for batch in batches:
        there = batch["weights"] > 0
        targets = batch["targets"][there]
        if mask_id is not None:
            shown = np.take_along_axis(batch["encoder"]["tokens"], batch["places"], axis=1)[there]
            same = shown == targets
            stayed += int(same.sum())
            written += int((~same & (shown != mask_id)).sum())
            targets = targets[~same]
        found = np.bincount(targets, minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    total = counts.sum() + stayed
    if total == 0:
        return float("nan")
    costly = counts.astype(np.float64)
    costly[free[free < len(costly)]] = 0
    kinds = np.array([stayed, written], np.float64)  # of the places where something is shown
    return (_nats(costly) + _nats(kinds)) / float(total)


def _nats(counts: np.ndarray) -> float:
    """What it costs to tell so many things of each kind apart, by their shares."""
    some = counts[counts > 0]
    return float(-(some * np.log(some / some.sum())).sum())
