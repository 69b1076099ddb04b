"""A prompt on the terminal: a line in, an answer out."""

import contextlib
import sys
from collections.abc import Callable


def prompt(answer: Callable[[str], str]) -> None:
    """Asks for lines and prints what `answer` makes of them, until Ctrl-D.

    The arrow keys edit the line and bring earlier ones back. Ctrl-C drops the line, or the answer
    that is being made.
    """
    with contextlib.suppress(ImportError):  # a Python built without it: a plain line
        import readline  # noqa: F401 (importing it is what gives `input` its history)

    print(
        "A line in, its output out; the first takes a compilation. Ctrl-D leaves.", file=sys.stderr
    )
    while True:
        try:
            line = input("> ")
            if not _is_unicode(line):
                print("not UTF-8 text; set the terminal to it", file=sys.stderr)
            elif line.strip():
                print(answer(line), flush=True)
        except KeyboardInterrupt:
            print(flush=True)
        except EOFError:
            print(flush=True)
            return


def _is_unicode(line: str) -> bool:
    """Whether all bytes that were typed could be read (others stand in it as lone surrogates)."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True
