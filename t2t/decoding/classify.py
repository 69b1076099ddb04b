"""Answers of an encoder alone that has a classifier: how likely each label is.

Texts are framed as `t2t.objectives.classes` frames them, one a row.
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from t2t.decoding.batches import batches, laid_out
from t2t.decoding.one_ahead import one_ahead
from t2t.models.transformer import Params
from t2t.objectives.framing import ADDED, frame_each, unframed
from t2t.wiring.masked import at_places


def classify(
    decoder, params: Params, rows: Sequence[np.ndarray], batch_size: int = 32
) -> list[list[float]]:
    """log p of every class of each row (tokens without [CLS] and [SEP]), in input order.

    decoder: a `Decoder`. A row and what is added must fit the model's positions.
    """
    facts, program = decoder.tokenizer.vocabulary, _program(decoder)
    last = decoder.model.arch.summary_last
    results: list[list[float]] = [[]] * len(rows)

    def started() -> Iterator[tuple[list[int], jax.Array]]:
        for batch in batches([len(row) + ADDED for row in rows], batch_size, decoder.mesh):
            length = min(batch.length, decoder.model.arch.positions or batch.length)
            framed = frame_each(facts, last, [rows[i] for i in batch.filled], length)
            arrays = {"encoder": framed.encoder, "places": framed.summaries.astype(np.int32)}
            yield batch.indices, program(params, laid_out(arrays, decoder.mesh))

    for indices, values in one_ahead(started()):
        for index, row in zip(indices, values, strict=False):
            results[index] = row.tolist()
    return results


def _program(decoder):
    """Returns (params, arrays) -> log p of each class [B, classes], jitted."""

    def program(params, arrays):
        hidden, _, _ = decoder.model.forward(params, {"encoder": arrays["encoder"]})
        summaries = at_places(hidden, arrays["places"][:, None])[:, 0]
        return jax.nn.log_softmax(decoder.model.pair_logits(params, summaries))

    return decoder.jitted("classes", program)


def tell_classes(decoder, params, batch: dict, labels: Sequence[str], count: int) -> Iterator[str]:
    """Yields the texts of a batch's first rows with the likeliest label beside the true one."""
    tokenizer, rows = decoder.tokenizer, min(count, len(batch["targets"]))
    for row in range(rows):
        if not batch["weights"][row].any():
            continue
        mine = batch["encoder"]["segments"][row] == 1
        ids = batch["encoder"]["tokens"][row][mine]
        text = unframed(ids, decoder.model.arch.summary_last)
        (logs,) = classify(decoder, params, [text])
        yield f"  text:  {tokenizer.decode(ids, stop_at_eos=False)!r}"
        yield f"  model: {labels[int(np.argmax(logs))]!r}"
        yield f"  truth: {labels[int(batch['targets'][row, 0])]!r}"
