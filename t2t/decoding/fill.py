"""Fill in the blank: greedy decoding of inputs that hold sentinels, shown side by side."""

import re
from collections.abc import Iterator

import numpy as np

from t2t.decoding.config import Greedy
from t2t.decoding.decode import Decoder, decode

SENTINEL = re.compile(r"<extra_id_(\d+)>")


def spans(text: str) -> dict[int, str]:
    """Splits a target text `<extra_id_0> a <extra_id_1> b` into {0: "a", 1: "b"}."""
    parts = SENTINEL.split(text)
    return {int(k): v.strip() for k, v in zip(parts[1::2], parts[2::2], strict=True)}


def filled(text: str, answers: dict[int, str]) -> str:
    """Returns the input with every sentinel replaced by its answer in brackets."""
    return SENTINEL.sub(lambda m: f"[{answers.get(int(m.group(1)), '')}]", text)


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
