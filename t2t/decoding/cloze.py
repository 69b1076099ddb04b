"""Answers of an encoder alone: how likely words are at masks behind an input.

The input, and a [MASK] for each of the answer's tokens behind it, stand in the frame of
`t2t.objectives.framing`. The score of an answer is the sum over its masks of log p(its token there | the input), all its masks
masked at once: so `t2t.objectives.cloze` trains, and so PET reads label words (Schick and Schuetze
2021). Salazar et al.'s pseudo-log-likelihood (2020) is another number for answers of several tokens: it
masks them one by one and shows the others. Answers of other lengths are judged with as many masks.

A model with queries (XLNet) is asked by those: no token sees what stands at the masks.

A discriminator (ELECTRA) tells no words, but whether those that stand there are in place: the answer
itself stands where its masks would, and its score is the sum over its tokens of log p(not replaced)
(Xia et al. 2022, arXiv:2205.15223).
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from t2t.data.vocabulary import MASKING_ROLES, require_roles
from t2t.decoding.autoregression import log_probability
from t2t.decoding.batches import batches, bucket, laid_out
from t2t.decoding.one_ahead import one_ahead
from t2t.errors import UserError
from t2t.models.transformer import Model, Params
from t2t.objectives.framing import ADDED, frame_each
from t2t.wiring.masked import at_places
from t2t.wiring.permuted import asked


def mask_log_probabilities(
    model: Model,
    params: Params,
    encoder: dict,
    places: jax.Array,
    there: jax.Array,
    targets: jax.Array,
) -> jax.Array:
    """Rows {tokens [B, L], segments}, places [B, K] of their masks, of which some are `there`, targets
    [B, N, K] -> log p of each token at its mask [B, N, K]."""
    if model.arch.relative_attention:
        encoder = asked(encoder, places, there)
    hidden, _, _ = model.forward(params, {"encoder": encoder})
    states = hidden if model.arch.relative_attention else at_places(hidden, places)
    return log_probability(model.logits(params, states)[:, None], targets)


def original_log_probabilities(
    model: Model, params: Params, encoder: dict, places: jax.Array
) -> jax.Array:
    """Rows {tokens [B, L], segments}, places [B, K] -> log p that a token there is the original one,
    [B, 1, K]."""
    hidden, _, _ = model.forward(params, {"encoder": encoder})
    replaced = model.replaced_logits(params, at_places(hidden, places))
    return jax.nn.log_sigmoid(-replaced)[:, None]


def score_at_masks(
    decoder,
    params: Params,
    rows: Sequence[np.ndarray],
    targets: Sequence[Sequence[np.ndarray]],
    batch_size: int,
) -> list[list[list[float]]]:
    """log p of every token of every target of each row (tokens without [CLS] and [SEP]), in order.

    decoder: a `Decoder`. batch_size counts targets. Targets of a row that are equally long are read
    in one pass, but by a discriminator, which must be shown each.
    Raises: UserError where a row has no room for its masks, or the vocabulary has none.
    """
    arch, facts = decoder.model.arch, decoder.tokenizer.vocabulary
    require_roles(facts, MASKING_ROLES, "the model")
    shown = arch.head == "replaced"
    results: list[list[list[float]]] = [[[]] * len(its) for its in targets]
    program = _program(decoder)
    alike: dict[int, list[tuple[int, list[int]]]] = {}  # by number of targets: (row, which of its)
    for number, its in enumerate(targets):
        for size in sorted(set(map(len, its))):
            which = [i for i, target in enumerate(its) if len(target) == size]
            for one in [[i] for i in which] if shown else [which]:
                alike.setdefault(bucket(len(one), shortest=1), []).append((number, one))
            if arch.positions is not None and len(rows[number]) + size + ADDED > arch.positions:
                raise UserError(
                    f"input {number}: its {len(rows[number])} tokens and an answer of {size} are "
                    f"more than the model's {arch.positions} positions; give less text"
                )

    def started() -> Iterator[tuple[list[tuple[int, list[int]]], jax.Array]]:
        for count, entries in sorted(alike.items()):
            masks = [len(targets[number][which[0]]) for number, which in entries]
            texts = []
            for (n, which), k in zip(entries, masks, strict=True):
                answer = targets[n][which[0]] if shown else [facts.mask_id] * k
                texts.append(np.concatenate([rows[n], answer]))
            lengths = [len(text) + ADDED for text in texts]
            for batch in batches(lengths, max(1, batch_size // count), decoder.mesh):
                widest = bucket(max(masks[i] for i in batch.filled), shortest=1)
                wanted = np.zeros((len(batch.filled), count, widest), np.int32)
                places = np.zeros((len(batch.filled), widest), np.int32)
                there = np.zeros(places.shape, bool)
                framed = frame_each(
                    facts, arch.summary_last, [(texts[i],) for i in batch.filled], batch.length
                )
                for at, entry in enumerate(batch.filled):
                    number, which = entries[entry]
                    size = masks[entry]
                    places[at, :size] = framed.begins[at] + len(rows[number]) + np.arange(size)
                    there[at, :size] = True
                    for i, target in enumerate(which):
                        wanted[at, i, :size] = targets[number][target]
                asked_for = {"places": places, "there": there, "targets": wanted}
                arrays = {"encoder": framed.encoder, **asked_for}
                values = program(params, laid_out(arrays, decoder.mesh))
                yield [entries[i] for i in batch.indices], values

    for entries, values in one_ahead(started()):
        for (number, which), row in zip(entries, values, strict=False):
            for i, logs in zip(which, row, strict=False):
                results[number][i] = logs[: len(targets[number][i])].tolist()
    return results


def _program(decoder):
    def program(params, arrays):
        common = decoder.model, params, arrays["encoder"], arrays["places"]
        if decoder.model.arch.head == "replaced":
            return original_log_probabilities(*common)
        return mask_log_probabilities(*common, arrays["there"], arrays["targets"])

    return decoder.jitted("cloze", program)
