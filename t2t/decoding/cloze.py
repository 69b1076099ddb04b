"""Answers of an encoder alone: how likely words are at masks behind an input.

    [CLS], input, a [MASK] for each of the answer's tokens, [SEP]

The score of an answer is the sum over its masks of log p(its token there | the input), all its masks
masked at once: so `t2t.objectives.cloze` trains, and so PET reads label words (Schick and Schuetze
2021). Salazar et al.'s pseudo-log-likelihood (2020) is another number for answers of several tokens: it
masks them one by one and shows the others. Answers of other lengths are judged with as many masks.
"""

from collections.abc import Sequence

import jax
import numpy as np

from t2t.data.vocabulary import Vocabulary
from t2t.decoding.autoregression import log_probability
from t2t.decoding.batches import batches, bucket, laid_out, padded
from t2t.errors import UserError
from t2t.models.architecture import Architecture
from t2t.models.transformer import Model, Params
from t2t.objectives import masked_lm
from t2t.objectives.cloze import ADDED
from t2t.parallel.sharding import replicated
from t2t.wiring.masked import at_places


def check_tells_words(arch: Architecture, vocabulary: Vocabulary) -> None:
    """Raises UserError for an encoder whose head tells no words, or a vocabulary without masks."""
    if arch.head == "replaced":
        raise UserError(
            "the model's head tells replaced tokens (ELECTRA's discriminator), not the words that "
            "answers at masks are; take its generator, or another encoder"
        )
    masked_lm.check_vocabulary(None, vocabulary, "the model")


def mask_log_probabilities(
    model: Model, params: Params, encoder: dict, places: jax.Array, targets: jax.Array
) -> jax.Array:
    """Rows {tokens [B, L], segments}, places [B, K] of their masks, targets [B, N, K] -> log p of each
    token at its mask [B, N, K]."""
    hidden, _, _ = model.forward(params, {"encoder": encoder})
    logits = model.logits(params, at_places(hidden, places))
    return log_probability(logits[:, None], targets)


def score_at_masks(
    decoder,
    params: Params,
    rows: Sequence[np.ndarray],
    targets: Sequence[Sequence[np.ndarray]],
    batch_size: int,
) -> list[list[list[float]]]:
    """log p of every token of every target of each row (tokens without [CLS] and [SEP]), in order.

    decoder: a `Decoder`. batch_size counts targets. Targets of a row that are equally long are read
    in one pass.
    Raises: UserError where a row has no room for its masks, or the model tells no words.
    """
    arch, facts = decoder.model.arch, decoder.tokenizer.vocabulary
    check_tells_words(arch, facts)
    results: list[list[list[float]]] = [[[]] * len(its) for its in targets]
    program = _program(decoder)
    alike: dict[int, list[tuple[int, list[int]]]] = {}  # by number of targets: (row, which of its)
    for number, its in enumerate(targets):
        for size in sorted(set(map(len, its))):
            which = [i for i, target in enumerate(its) if len(target) == size]
            alike.setdefault(bucket(len(which), shortest=1), []).append((number, which))
            if arch.positions is not None and len(rows[number]) + size + ADDED > arch.positions:
                raise UserError(
                    f"input {number}: its {len(rows[number])} tokens and an answer of {size} are "
                    f"more than the model's {arch.positions} positions; give less text"
                )
    pending = None

    def read(entries: list, values: jax.Array) -> None:
        for (number, which), row in zip(entries, np.asarray(jax.device_get(values)), strict=False):
            for i, logs in zip(which, row, strict=False):
                results[number][i] = logs[: len(targets[number][i])].tolist()

    for count, entries in sorted(alike.items()):
        masks = [len(targets[number][which[0]]) for number, which in entries]
        texts = [
            np.concatenate([[facts.cls_id], rows[n], [facts.mask_id] * k, [facts.sep_id]])
            for (n, _), k in zip(entries, masks, strict=True)
        ]
        lengths = [len(text) for text in texts]
        for batch in batches(lengths, max(1, batch_size // count), decoder.mesh):
            widest = bucket(max(masks[i] for i in batch.filled), shortest=1)
            asked = np.zeros((len(batch.filled), count, widest), np.int32)
            places = np.zeros((len(batch.filled), widest), np.int32)
            for at, entry in enumerate(batch.filled):
                number, which = entries[entry]
                size = masks[entry]
                places[at, :size] = 1 + len(rows[number]) + np.arange(size)
                for i, target in enumerate(which):
                    asked[at, i, :size] = targets[number][target]
            arrays = {
                "encoder": padded([texts[i] for i in batch.filled], batch.length),
                "places": places,
                "targets": asked,
            }
            values = program(params, laid_out(arrays, decoder.mesh))
            if pending is not None:
                read(*pending)
            pending = ([entries[i] for i in batch.indices], values)
    if pending is not None:
        read(*pending)
    return results


def _program(decoder):
    if "cloze" not in decoder.programs:
        whole = None if decoder.mesh is None else replicated(decoder.mesh)

        def program(params, arrays):
            return mask_log_probabilities(
                decoder.model, params, arrays["encoder"], arrays["places"], arrays["targets"]
            )

        decoder.programs["cloze"] = jax.jit(program, out_shardings=whole)
    return decoder.programs["cloze"]
