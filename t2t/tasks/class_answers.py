"""Which of a task's choices the labels of a classifier mean, whose publisher may spell them otherwise."""

import functools
import re
from collections.abc import Sequence

_NUMBERED = re.compile(r"LABEL_\d+")


def unnamed(labels: Sequence[str]) -> bool:
    """Whether nobody has named the labels: Hugging Face's LABEL_0, LABEL_1."""
    return all(_NUMBERED.fullmatch(label) for label in labels)


@functools.lru_cache(maxsize=128)
def answers_of(labels: tuple[str, ...], choices: tuple[str, ...]) -> tuple[str, ...] | None:
    """Returns the choice that each label means; None where that is not one for each.

    It is the one spelled alike, but for capitals and what joins words (NOT-EQUIVALENT is
    not_equivalent), whatever its number; without names it is the one of the same number.
    """
    if labels == choices or (len(labels) == len(choices) and unnamed(labels)):
        return choices
    known = {_plain(choice): choice for choice in choices}
    found = tuple(known[name] for name in map(_plain, labels) if name in known)
    whole = len(set(found)) == len(found) == len(labels) == len(choices)
    return found if whole else None


def named_alike(labels: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether two classifiers tell the same in the same order, spelling apart."""
    return not unnamed(labels) and answers_of(labels, others) == others


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text).strip().casefold()
