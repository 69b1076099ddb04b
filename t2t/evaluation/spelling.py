"""Whether a model's vocabulary can spell a task: its texts, its answers and its blanks."""

import re
from collections.abc import Sequence

import numpy as np

from t2t.data.tokenizers import Tokenizer
from t2t.errors import UserError
from t2t.tasks.labels import UNLABELLED
from t2t.tasks.task import Example

# A model cannot write, or was never shown, what its vocabulary cannot spell.
MOST_UNKNOWN = 0.1
_SENTINEL = re.compile(r"<extra_id_(\d+)>")


def check_spelling(
    task: str,
    examples: Sequence[Example],
    inputs: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    tokenizer: Tokenizer,
) -> None:
    """Refuses a task that the vocabulary is not made for; inputs and targets are token ids.

    Raises UserError where it cannot spell an answer to choose from, lacks a sentinel, or spells
    more than a tenth of the tokens of the inputs or targets as unknown.
    """
    unknown = tokenizer.vocabulary.unk_id
    refused = f"{task}: the model's vocabulary is not made for it: it"
    advice = "evaluate a model whose tokenizer can"
    choices = sorted({choice for example in examples for choice in example.choices})
    for choice, ids in zip(choices, tokenizer.encode(choices), strict=True):
        if (ids == unknown).any():
            raise UserError(f"{refused} cannot spell the answer {choice!r}; {advice}")
    texts = [text for example in examples for text in (example.input, example.target)]
    blanks = {int(k) for text in texts if "<extra_id_" in text for k in _SENTINEL.findall(text)}
    sentinels = len(tokenizer.vocabulary.sentinels)
    if blanks and max(blanks) >= sentinels:
        raise UserError(f"{refused} has {sentinels} sentinels, not <extra_id_{max(blanks)}>")
    written = [t for t, e in zip(targets, examples, strict=True) if e.target != UNLABELLED]
    for kind, rows in (("inputs", inputs), ("targets", written)):
        total = sum(map(len, rows))
        share = sum(int((ids == unknown).sum()) for ids in rows) / max(total, 1)
        if share > MOST_UNKNOWN:
            raise UserError(f"{refused} cannot spell {share:.0%} of its {kind}' tokens; {advice}")
