"""Pairs of texts on their way into a token store: what a task looks like to the data room.

Tasks are made of data's readers, so data cannot import them: whoever sees both opens a `Task`
source (`t2t.tasks.pairs`) and hands its pairs in.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from t2t.errors import UserError

# Part of every fingerprint: raise it when the same pairs would be stored otherwise.
VERSION = 1
_SIDES = {2: ("input", "target"), 3: ("first text", "second text", "target")}


@dataclass(frozen=True)
class Pairs:
    """Input and target texts in a fixed order. `read()` begins them anew.

    `fingerprint` covers every text: 32 hex digits. answered: the second of each is a context that
    knows where its answer stands (t2t.data.answer_marks). width: texts of each, 3 where an input is two.
    """

    name: str
    read: Callable[[], Iterable[tuple[str, ...]]]
    fingerprint: str
    answered: bool = False
    width: int = 2

    def texts(self) -> Iterator[str]:
        """The texts as a store holds them: `width` documents are an input and its target."""
        for pair in self.read():
            yield from pair


def of(name: str, read: Callable[[], Iterable[tuple[str, ...]]], answered: bool = False) -> Pairs:
    """Reads all pairs once, for the fingerprint; each has as many texts as the first.

    Raises UserError where there is none, or one holds what is no text.
    """
    digest, count, width = hashlib.sha256(struct.pack("<q", VERSION)), 0, 2
    for count, pair in enumerate(read(), start=1):
        if count == 1 and len(pair) != width:
            width = len(pair)
            digest.update(struct.pack("<q", width))
        for side, text in zip(_SIDES[width], pair, strict=True):
            try:
                encoded = text.encode()
            except UnicodeEncodeError as error:
                raise UserError(
                    f"{name}: the {side} of example {count - 1} holds half of a surrogate pair "
                    f"(\\u{ord(text[error.start]):04x}), which is no character"
                ) from None
            digest.update(struct.pack("<q", len(encoded)) + encoded)
        if answered:
            digest.update(struct.pack("<qq", *pair[1].answer))
    if not count:
        raise UserError(f"{name}: holds no example")
    return Pairs(name, read, digest.hexdigest()[:32], answered, width)
