"""The two ways a command ends badly, and the nearest-name hint used in their messages."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What the user gave is wrong (config, data file, argument): one line on stderr, exit code 2."""


class Failure(Exception):
    """Something failed that the user did not write (disk, network, device): one line, exit code 1."""


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Returns `" (did you mean 'x'?)"` for the candidate closest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
