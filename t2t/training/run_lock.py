"""One trainer at a time in a run directory: a lock that the kernel takes back however its holder ends."""

import contextlib
import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator

from t2t.data import files
from t2t.errors import Failure, UserError
from t2t.parallel.gang import OUTCOME

NAME = ".lock"
WAIT_SECONDS = 60.0  # for one that saves and leaves, as what a killed supervisor left behind does
_TRY_SECONDS = 0.2
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # EACCES: of NFS


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def held(workdir: str, say: Callable[[str], None] = _to_stderr) -> Iterator[None]:
    """Holds the lock of a run directory; waits `WAIT_SECONDS` for another process to give it back.

    It is advisory (flock), and lies in a file of the directory that stays. Object stores have no
    such locks, nor have some network file systems: there nothing is held, and nobody is kept away.
    Raises: UserError where another process still trains there, naming it; Failure in a process that
    a supervisor started.
    """
    with contextlib.ExitStack() as stack:
        file = None if files.is_remote(workdir) else _opened(f"{workdir}/{NAME}")
        if file is not None:
            stack.callback(file.close)  # gives the lock back
            _take(file, workdir, say)
        yield


def _opened(path: str):
    """Opens the file, unbuffered; None where it cannot be, which the run's own files say better."""
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
    except OSError:
        return None
    # A child that is forked has the same lock, and would hold it for longer than this process.
    os.register_at_fork(after_in_child=file.close)
    return file


def _take(file, workdir: str, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if error.errno not in _HELD:
                return  # this file system has no locks
        holder = f"--workdir={workdir}: is being trained by {_holder(file)}"
        if time.monotonic() >= deadline:
            # A supervisor tries again: what a killed one left behind may save for longer than that.
            wrong = Failure if os.environ.get(OUTCOME) else UserError
            raise wrong(f"{holder}; wait for its end, stop it, or give another directory")
        if not told:
            say(f"{holder}; waiting up to {WAIT_SECONDS:g} s for its end")
            told = True
        time.sleep(_TRY_SECONDS)
    with contextlib.suppress(OSError):  # only for those who wait, and a disk may be full
        file.truncate(0)
        file.seek(0)
        file.write(f"process {os.getpid()} of {socket.gethostname()}".encode())


def _holder(file) -> str:
    with contextlib.suppress(OSError):
        file.seek(0)
        return file.read(200).decode(errors="replace") or "another process"
    return "another process"
