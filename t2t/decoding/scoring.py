"""Scoring given targets, and choosing among given answers by their scores (rank classification)."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from t2t.decoding.autoregression import log_probability
from t2t.decoding.batches import batches, bucket, laid_out, padded
from t2t.decoding.decode import Decoder
from t2t.models.transformer import Model, Params
from t2t.parallel.sharding import replicated


class Scored(NamedTuple):
    """The log-probability of one target."""

    score: float  # sum of `log_probabilities`
    log_probabilities: list[float]  # of every token of the target


class Ranked(NamedTuple):
    """The likeliest of an input's choices."""

    best: int
    scores: list[float]  # one a choice, as compared


def target_log_probabilities(model: Model, params: Params, encoder: dict, targets: jax.Array):
    """Inputs {tokens [B, S], segments?}, targets [B, T] -> log p of each target token [B, T].

    Teacher forced: each token is given the true ones before it, the first the start token 0.
    """
    shifted = jnp.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    # Every target is one segment to its padded end: what comes after a token changes nothing.
    decoder = {"tokens": shifted, "segments": jnp.ones_like(shifted)}
    hidden, _, _ = model.forward(params, {"encoder": encoder, "decoder": decoder})
    return log_probability(model.logits(params, hidden), targets)


def score(
    decoder: Decoder,
    params: Params,
    rows: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    *,
    batch_size: int = 32,
) -> list[Scored]:
    """log p(target | row) of each pair of token rows, both with their end of sequence if they have
    one; in input order."""
    results: list[Scored | None] = [None] * len(rows)
    program = _program(decoder)
    pending = None

    def read(batch, values) -> None:
        values = np.asarray(jax.device_get(values))
        for index, row in zip(batch.indices, values, strict=False):
            log_probabilities = row[: len(targets[index])].tolist()
            results[index] = Scored(sum(log_probabilities), log_probabilities)

    lengths = [bucket(len(r)) + bucket(len(t)) for r, t in zip(rows, targets, strict=True)]
    for batch in batches(lengths, batch_size, decoder.mesh):
        longest = bucket(max(len(targets[i]) for i in batch.indices))
        width = bucket(max(len(rows[i]) for i in batch.indices))
        arrays = {
            "encoder": padded([rows[i] for i in batch.filled], width),
            "targets": padded([targets[i] for i in batch.filled], longest)["tokens"],
        }
        values = program(params, laid_out(arrays, decoder.mesh))
        if pending is not None:
            read(*pending)
        pending = (batch, values)
    if pending is not None:
        read(*pending)
    return results


def rank(
    decoder: Decoder,
    params: Params,
    rows: Sequence[np.ndarray],
    choices: Sequence[Sequence[np.ndarray]],
    *,
    by: Literal["sum", "mean"] = "sum",
    batch_size: int = 32,
) -> list[Ranked]:
    """The likeliest of each row's choices (token rows), by the sum or the mean of their tokens'
    log-probabilities; the first of equals."""
    flat = [(row, choice) for row, of in zip(rows, choices, strict=True) for choice in of]
    scored = iter(
        score(decoder, params, [r for r, _ in flat], [c for _, c in flat], batch_size=batch_size)
    )
    results = []
    for of in choices:
        mine = [next(scored) for _ in of]
        values = [s.score / (len(s.log_probabilities) if by == "mean" else 1) for s in mine]
        results.append(Ranked(int(np.argmax(values)), values))
    return results


def _program(decoder: Decoder):
    if "score" not in decoder.programs:
        whole = None if decoder.mesh is None else replicated(decoder.mesh)

        def program(params, arrays):
            return target_log_probabilities(
                decoder.model, params, arrays["encoder"], arrays["targets"]
            )

        decoder.programs["score"] = jax.jit(program, out_shardings=whole)
    return decoder.programs["score"]
