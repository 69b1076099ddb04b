"""The processes of a run as its commands and its loop see them: several on a line, or one alone.

Fail-stop: whatever goes wrong in one process ends all of them within seconds, each with a line that
names the culprit, and whoever started them starts them all again (`t2t supervise`).
"""

import contextlib
import json
import os
import secrets
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

from t2t.data import files
from t2t.errors import UserError, explained, is_device_error
from t2t.parallel.hosts import Place
from t2t.parallel.line import Line

OUTCOME = "T2T_OUTCOME"  # names the file in which a process tells its supervisor how it ended
_SHARED_SECONDS = 10.0  # for a network file system to show what another host wrote


def tell_outcome(kind: str, line: str = "") -> None:
    """Tells a supervisor, where there is one, how this process ended (see `OUTCOME`)."""
    path = os.environ.get(OUTCOME)
    if path:
        with contextlib.suppress(OSError):
            files.write_bytes(path, json.dumps({"kind": kind, "line": line}).encode())


class Alone:
    """A run of one process: nobody to wait for, to compare with or to tell."""

    processes, process = 1, 0
    writes = True  # the files that one process writes
    several = False

    def agree(self, name: str, facts: dict[str, str]) -> None:
        """Compares facts over all hosts."""

    def meet(self, name: str) -> None:
        """Waits for all hosts."""

    def check_shared(self, folder: str) -> None:
        """Checks that all hosts see the same folder."""

    def phase(self, name: str) -> None:
        """Tells the others what this host is doing."""

    def late(self, phase: str, seconds: float) -> None:
        """A phase took too long, and the watchdog has said so: ends this process where a supervisor
        starts it again. One that a person has started goes on, and the person may look."""
        if os.environ.get(OUTCOME):
            _end(_late(phase, seconds), "hang", 1)

    def tell(self, values: dict[str, float]) -> None:
        """Tells process 0 numbers."""

    def told(self) -> dict[int, dict[str, float]]:
        """Returns what each process told last; only process 0 knows."""
        return {}

    @contextlib.contextmanager
    def fail_stop(self) -> Iterator[None]:
        """Ends all hosts when what is inside fails."""
        yield


class Gang:
    """A run of several processes; `start` before JAX looks for devices.

    start_seconds: how long all may take to start. silent_seconds: how long one may give no sign of
    life before it is given up, and all end.
    """

    several = True

    def __init__(self, place: Place, start_seconds: float, silent_seconds: float):
        self.place, self.process, self.processes = place, place.process, place.processes
        self.writes = place.process == 0
        self._start_seconds, self._silent = start_seconds, silent_seconds
        self.line = Line(place, start_seconds, silent_seconds, _end)

    def start(self) -> None:
        """Says who this is, waits for the others, and starts JAX's own connection between them.

        Raises: Failure where the first host cannot be reached; a host that is missing ends all.
        """
        import jax

        place = self.place
        print(
            f"host {place.process} of {place.processes} ({os.uname().nodename}, pid {os.getpid()}; "
            f"{place.source}): waiting up to {self._start_seconds:g} s for the others at "
            f"{place.coordinator}",
            file=sys.stderr,
            flush=True,
        )
        self.line.listen()
        self.line.join()
        loopback = place.address[0] in ("localhost", "::1") or place.address[0].startswith("127.")
        jax.distributed.initialize(
            place.jax_coordinator,
            place.processes,
            place.process,
            local_device_ids=place.devices,
            cluster_detection_method="deactivate",
            initialization_timeout=int(self._start_seconds) + 1,
            # The line notices sooner, and says who it is; this is for what it might not.
            heartbeat_timeout_seconds=int(2 * self._silent) + 30,
            shutdown_timeout_seconds=60,
            coordinator_bind_address=place.jax_coordinator if loopback else None,
        )
        self.line.listen()  # JAX has put a handler of its own in place

    def agree(self, name: str, facts: dict[str, str]) -> None:
        """Compares facts over all hosts; a difference ends all, naming the host that differs."""
        self.line.agree(name, facts)

    def meet(self, name: str) -> None:
        """Waits for all hosts."""
        self.line.meet(name)

    def check_shared(self, folder: str) -> None:
        """Checks that all hosts see the same folder: what process 0 writes there."""
        path = f"{folder}/.hosts"
        if self.writes:
            written = secrets.token_hex(8)
            files.write_bytes(path, written.encode())
            self.line.meet("run directory", written)
            seen = True
        else:
            written = self.line.meet("run directory")
            deadline = time.monotonic() + _SHARED_SECONDS
            while not (seen := _content(path) == written) and time.monotonic() < deadline:
                time.sleep(0.2)
        shared = "the same folder" if seen else "another folder (it must be on shared storage)"
        self.agree("run directory", {f"--workdir={folder}": shared})
        if self.writes and not files.is_remote(folder):
            with contextlib.suppress(OSError):
                os.remove(path)

    def phase(self, name: str) -> None:
        """Notes what this host is doing: the others are told in passing."""
        self.line.phase = name

    def late(self, phase: str, seconds: float) -> None:
        """A phase took too long: all hosts end, to be started again."""
        self._fail(_late(phase, seconds), "hang", 1)

    def tell(self, values: dict[str, float]) -> None:
        """Tells process 0 numbers, without waiting."""
        self.line.tell(values)

    def told(self) -> dict[int, dict[str, float]]:
        """Returns what each process told last; only process 0 knows."""
        return dict(self.line.hub.latest) if self.line.hub else {}

    @contextlib.contextmanager
    def fail_stop(self) -> Iterator[None]:
        """Ends all hosts when what is inside fails; leaves in good order when it does not."""
        import jax

        try:
            yield
            self.line.leave()
            jax.distributed.shutdown()
        except BaseException as error:
            found = explained(error)
            if found is None and not self.line.ended:
                traceback.print_exception(error)
            line, code = found or (f"{type(error).__name__}: {error}", 1)
            kind = "user" if isinstance(error, UserError) else "crash"
            self._fail(
                f"failed in {self.line.phase!r}: {line}" if code == 1 else line,
                kind,
                code,
                doubtful=is_device_error(error) or is_device_error(error.__cause__),
            )

    def _fail(self, line: str, kind: str, code: int, doubtful: bool = False) -> Any:
        if self.line.connected:
            self.line.fail(line, kind, code, doubtful=doubtful)
            time.sleep(10)  # the line's thread is ending this process
        _end(line, kind, code)


def _late(phase: str, seconds: float) -> str:
    return f"{phase!r} has taken over {seconds:g} s (config.training.watchdog_seconds)"


def _end(line: str, kind: str, code: int) -> None:
    """Ends this process, whatever its main thread does."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        print(f"{'t2t: ' if code else ''}{line}", file=sys.stderr, flush=True)
    tell_outcome("stopped" if kind == "stop" else kind, line)
    os._exit(code)


def _content(path: str) -> str:
    try:
        return files.read_bytes(path).decode(errors="replace")
    except Exception:  # a hidden file that is not there yet
        return ""


Hosts = Alone | Gang
