"""A file that is touched as a sign of life, for whoever ends what hangs.

A supervisor touches its own, from its own loop and never from a thread beside it: it grows old where
the loop does not come round. Each training process touches one for its supervisor (t2t.launch.child).
"""

import os
import pathlib

VARIABLE = "T2T_HEARTBEAT"  # names the file; where it is not set there is none
SECONDS = 1.0  # between two touches of a supervisor, at most, while nothing else happens


def beat() -> None:
    """Touches the file that the environment names, if it does."""
    path = os.environ.get(VARIABLE)
    if path:
        pathlib.Path(path).touch()


def probe(path: str, oldest: int) -> list[str]:
    """Returns a command that fails where `path` was touched more than `oldest` seconds ago, or never.

    It needs a POSIX shell and coreutils.
    """
    age = f"$(($(date +%s) - $(stat -c %Y {path})))"
    return ["sh", "-c", f'test -f {path} && test "{age}" -le {oldest}']
