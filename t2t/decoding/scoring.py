"""Scoring given targets, and choosing among given answers by their scores (rank classification)."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from t2t.decoding.autoregression import log_probability
from t2t.decoding.batches import batches, bucket, laid_out, padded
from t2t.decoding.cache import begin
from t2t.decoding.cloze import score_at_masks
from t2t.decoding.decode import Decoder
from t2t.decoding.one_ahead import one_ahead
from t2t.decoding.prompts import check_room, padded_inputs
from t2t.models.architecture import DECODER, ENCODER
from t2t.models.transformer import Model, Params


class Scored(NamedTuple):
    """The log-probability of one target."""

    score: float  # sum of `log_probabilities`
    log_probabilities: list[float]  # of every token of the target


class Ranked(NamedTuple):
    """The likeliest of an input's choices."""

    best: int
    scores: list[float]  # one a choice, as compared


def target_log_probabilities(model: Model, params: Params, encoder: dict, targets: jax.Array):
    """Inputs (see `cache.begin`), targets [B, N, T] -> log p of each token [B, N, T].

    Teacher forced: each token is given the true ones before it, the first the start token 0, or the
    end of the input that a decoder alone goes on with. An input is read once for all its targets.
    """
    rows = targets.reshape(-1, targets.shape[-1])
    if model.arch.stacks == DECODER:
        cache, first = begin(model, params, encoder, rows.shape[1], copies=targets.shape[1])
        given = jnp.concatenate([first[:, None], rows[:, :-1]], axis=1)
        hidden, _, _ = model.decode(params, given, cache)
        return log_probability(model.logits(params, hidden), rows).reshape(targets.shape)
    shifted = jnp.pad(rows, ((0, 0), (1, 0)))[:, :-1]
    # Every target is one segment to its padded end: what comes after a token changes nothing.
    decoder = {"tokens": shifted, "segments": jnp.ones_like(shifted)}
    hidden, _, _ = model.forward(params, {"encoder": encoder, "decoder": decoder})
    return log_probability(model.logits(params, hidden), rows).reshape(targets.shape)


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
    alone = [[target] for target in targets]
    return [scored for (scored,) in score_each(decoder, params, rows, alone, batch_size=batch_size)]


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
    results = []
    for mine in score_each(decoder, params, rows, choices, batch_size=batch_size):
        values = [s.score / (len(s.log_probabilities) if by == "mean" else 1) for s in mine]
        results.append(Ranked(int(np.argmax(values)), values))
    return results


def score_each(
    decoder: Decoder,
    params: Params,
    rows: Sequence[np.ndarray],
    targets: Sequence[Sequence[np.ndarray]],
    *,
    batch_size: int = 32,
) -> list[list[Scored]]:
    """log p(target | row) of every target of each row, all in input order; of an encoder alone what
    `cloze` says.

    batch_size counts targets. Rows of like numbers of targets stand together, then of like lengths.
    """
    results: list[list[Scored]] = [[]] * len(rows)
    arch = decoder.model.arch
    if arch.stacks == ENCODER:
        found = score_at_masks(decoder, params, rows, targets, batch_size)
        return [[Scored(float(sum(logs)), logs) for logs in its] for its in found]
    program = _program(decoder)
    check_room(arch, rows, [max(map(len, its), default=1) for its in targets])
    alike: dict[int, list[int]] = {}
    for index, (_, its) in enumerate(zip(rows, targets, strict=True)):
        if len(its):
            alike.setdefault(bucket(len(its), shortest=1), []).append(index)

    def started() -> Iterator[tuple[list[int], jax.Array]]:
        for count, members in sorted(alike.items()):
            lengths = [bucket(len(rows[i])) + bucket(max(map(len, targets[i]))) for i in members]
            for batch in batches(lengths, max(1, batch_size // count), decoder.mesh):
                filled = [members[i] for i in batch.filled]
                arrays = {
                    "encoder": padded_inputs(
                        arch, [rows[i] for i in filled], bucket(max(len(rows[i]) for i in filled))
                    ),
                    "targets": _padded_targets([targets[i] for i in filled], count),
                }
                values = program(params, laid_out(arrays, decoder.mesh))
                yield [members[i] for i in batch.indices], values

    for indices, values in one_ahead(started()):
        for index, row in zip(indices, values, strict=False):
            results[index] = [
                Scored(float(sum(each)), each)
                for each in (
                    its[: len(target)].tolist()
                    for its, target in zip(row, targets[index], strict=False)
                )
            ]
    return results


def _padded_targets(targets: list[Sequence[np.ndarray]], count: int) -> np.ndarray:
    """[B, count, T] int32: every row's targets, zeros after each and after the last."""
    longest = bucket(max(len(target) for its in targets for target in its))
    nothing = np.zeros(0, np.int32)
    return np.stack(
        [padded([*its, *[nothing] * (count - len(its))], longest)["tokens"] for its in targets]
    )


def _program(decoder: Decoder):
    def program(params, arrays):
        return target_log_probabilities(decoder.model, params, arrays["encoder"], arrays["targets"])

    return decoder.jitted("score", program)
