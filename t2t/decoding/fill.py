"""What a model makes of held-out rows beside what was true: blanks filled, texts continued, masks told."""

import re
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from t2t.decoding.classify import tell_classes
from t2t.decoding.config import Greedy
from t2t.decoding.decode import Decoder, decode
from t2t.decoding.spans import tell_spans
from t2t.models.architecture import DECODER, ENCODER
from t2t.wiring.masked import at_places
from t2t.wiring.permuted import asked

_CONTINUED = 24  # tokens of a text that is gone on with
SENTINEL = re.compile(r"<extra_id_(\d+)>")


def spans(text: str) -> dict[int, str]:
    """Splits a target text `<extra_id_0> a <extra_id_1> b` into {0: "a", 1: "b"}."""
    parts = SENTINEL.split(text)
    return {int(k): v.strip() for k, v in zip(parts[1::2], parts[2::2], strict=True)}


def filled(text: str, answers: dict[int, str]) -> str:
    """Returns the input with every sentinel replaced by its answer in brackets."""
    return SENTINEL.sub(lambda m: f"[{answers.get(int(m.group(1)), '')}]", text)


def shown_rows(
    decoder: Decoder, params, batch: dict, count: int, labels: Sequence[str] = ()
) -> Iterator[str]:
    """Yields the beginnings of a batch's first rows with the model's words beside the true ones; labels:
    of a model that tells classes."""
    if labels:
        return tell_classes(decoder, params, batch, labels, count)
    told = tell_masks if "places" in batch else tell_spans
    of = {DECODER: continue_rows, ENCODER: told}
    return of.get(decoder.model.arch.stacks, fill_rows)(decoder, params, batch, count)


def continue_rows(decoder: Decoder, params, batch: dict, count: int) -> Iterator[str]:
    """A decoder alone goes on with the input of each row's first pair, or half of its first text."""
    prompts, truths = [], []
    for row in range(min(count, len(batch["targets"]))):
        segments = batch["decoder"].get("segments")
        size = batch["targets"].shape[1] if segments is None else int((segments[row] == 1).sum())
        if not size:
            continue
        read, next_one = batch["decoder"]["tokens"][row, :size], batch["targets"][row, :size]
        (asked,) = np.nonzero(batch["weights"][row, :size])
        first = int(asked[0]) or size // 2  # the place of the token before the first one written
        prompts.append(read[: first + 1].astype(np.int32))
        truths.append(next_one[first : first + _CONTINUED])
    room = decoder.model.arch.positions
    most = max(map(len, prompts), default=0)
    longest = _CONTINUED if room is None else max(1, min(_CONTINUED, room + 1 - most))
    outputs = decode(decoder, params, prompts, Greedy(max_tokens=longest))
    for ids, (best,), truth in zip(prompts, outputs, truths, strict=True):
        yield f"  text:  {decoder.tokenizer.decode(ids, stop_at_eos=False)!r}"
        yield f"  model: {best.text!r}"
        yield f"  truth: {decoder.tokenizer.decode(truth)!r}"


def tell_masks(decoder: Decoder, params, batch: dict, count: int) -> Iterator[str]:
    """An encoder alone tells the likeliest token at each place of a row that is predicted."""
    model, tokenizer = decoder.model, decoder.tokenizer
    rows = min(count, len(batch["targets"]))
    first = {k: v[:rows] for k, v in batch["encoder"].items()}

    def told(params, encoder, places, there):
        queries = model.arch.relative_attention
        if queries and "ranks" in encoder:
            encoder = {**encoder, "queried": places}
        elif queries:
            encoder = asked(encoder, places, there)
        hidden, _, _ = model.forward(params, {"encoder": encoder})
        states = hidden if queries else at_places(hidden, places)
        return jnp.argmax(model.logits(params, states), axis=-1)

    there = batch["weights"][:rows] > 0
    program = decoder.jitted("told", told)
    found = np.asarray(program(params, first, batch["places"][:rows], there))
    for row in range(rows):
        mine = there[row]
        yield f"  text:  {tokenizer.decode(first['tokens'][row], stop_at_eos=False)!r}"
        yield f"  model: {' '.join(tokenizer.pieces(found[row][mine]))}"
        yield f"  truth: {' '.join(tokenizer.pieces(batch['targets'][row][mine]))}"


def fill_rows(decoder: Decoder, params, batch: dict, count: int, blanks: int = 3) -> Iterator[str]:
    """Yields the beginnings of a batch's first rows with the model's words beside the true ones."""
    tokenizer, rows = decoder.tokenizer, batch["encoder"]["tokens"][:count]
    first = np.array(tokenizer.vocabulary.sentinels[: blanks + 1])
    short = []
    for row in rows:  # up to the blank after the last one shown
        ends = np.flatnonzero(row == first[-1])
        cut = int(ends[0]) if len(ends) else int(np.count_nonzero(row))
        short.append(np.append(row[:cut], tokenizer.vocabulary.eos_id).astype(np.int32))
    outputs = decode(decoder, params, short, Greedy(max_tokens=12 * blanks))
    for ids, (best,), target in zip(short, outputs, batch["targets"][:count], strict=True):
        shown = tokenizer.decode(ids)
        yield f"  model: {filled(shown, spans(best.text))}"
        yield f"  truth: {filled(shown, spans(tokenizer.decode(target)))}"
