"""A file that a supervisor touches while it looks after its processes, for whoever ends one that hangs.

Only the supervisor's own loop touches it, never a thread beside it: the file grows old where the loop
does not come round. What hangs in a training process is the supervisor's own business.
"""

import os
import pathlib

VARIABLE = "T2T_HEARTBEAT"  # names the file; where it is not set there is none
SECONDS = 10.0  # between two touches, at most, while nothing else happens


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
