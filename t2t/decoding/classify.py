"""Answers of an encoder alone that has a classifier: how likely each label is.

Texts are framed as `t2t.objectives.classes` frames them, one text or two a row.
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from t2t.decoding.batches import batches, laid_out
from t2t.decoding.one_ahead import one_ahead
from t2t.models.transformer import Params
from t2t.objectives.framing import fitting, frame_each, framed_sizes, text_sizes
from t2t.wiring.masked import at_places

Texts = tuple[np.ndarray, ...]  # the tokens of one text, or of two that stand in one row


def fitted(rows: Sequence[Texts], separators: int, length: int) -> list[Texts]:
    """Returns the texts, of which their frame has at most `length` tokens (see `framing.fitting`)."""
    kept = np.stack(fitting(*text_sizes(rows), separators, length), axis=1)
    return [
        tuple(text[:n] for text, n in zip(texts, sizes, strict=False))
        for texts, sizes in zip(rows, kept, strict=True)
    ]


def classify(
    decoder, params: Params, rows: Sequence[Texts], batch_size: int = 32
) -> list[list[float]]:
    """log p of every class of each row (tokens without [CLS] and [SEP]), in input order.

    decoder: a `Decoder`. A row in its frame must fit the model's positions.
    """
    facts, arch, program = decoder.tokenizer.vocabulary, decoder.model.arch, _program(decoder)
    results: list[list[float]] = [[]] * len(rows)
    lengths = framed_sizes(*text_sizes(rows), facts.separators).tolist()

    def started() -> Iterator[tuple[list[int], jax.Array]]:
        for batch in batches(lengths, batch_size, decoder.mesh):
            length = min(batch.length, arch.positions or batch.length)
            texts = [rows[i] for i in batch.filled]
            framed = frame_each(facts, arch.summary_last, texts, length, arch.token_types > 1)
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
    """Yields the first texts of a batch's first rows with the likeliest label beside the true one."""
    tokenizer, rows = decoder.tokenizer, min(count, len(batch["targets"]))
    encoder = {name: part[:rows] for name, part in batch["encoder"].items()}
    places = batch["summaries"][:rows, 0]
    told = jax.device_get(_program(decoder)(params, {"encoder": encoder, "places": places}))
    for row in range(rows):
        if not batch["weights"][row].any():
            continue
        ids = encoder["tokens"][row][encoder["segments"][row] == 1]
        yield f"  text:  {tokenizer.decode(ids, stop_at_eos=False)!r}"
        yield f"  model: {labels[int(np.argmax(told[row]))]!r}"
        yield f"  truth: {labels[int(batch['targets'][row, 0])]!r}"
