"""The processes of a run on this machine: several find each other over loopback."""

import contextlib
import dataclasses
import json
import math
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence

from t2t.launch import heartbeat
from t2t.launch.child import SUPERVISOR
from t2t.parallel.gang import OUTCOME
from t2t.parallel.hosts import COORDINATOR, PROCESS, PROCESSES

T2T = (sys.executable, "-m", "t2t.cli")
# Until the first sign of life there is this much more time: Python may come from a slow network.
_FIRST_SIGN_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a process ended: its exit code (negative: a signal), and what it said of it."""

    process: int
    code: int
    kind: str  # done, stopped, user, crash, gone, hang, missing, differs; killed: it could say nothing
    line: str


@dataclasses.dataclass(frozen=True)
class Limits:
    """Seconds: after the first process that ended badly, for the others to leave by themselves
    (grace); to save and leave once asked to stop (stop); without a sign of life (silent)."""

    grace: float
    stop: float
    silent: float


class Processes:
    """Starts `count` processes of a command, each in a process group of its own.

    One process inherits the environment, in which it may find other machines; several are given
    numbers and an address on loopback, and their output is led by the number.
    """

    def __init__(self, command: Sequence[str], count: int, program: Sequence[str] = T2T):
        self._ended: queue.Queue = queue.Queue()
        self._scratch = tempfile.TemporaryDirectory(prefix="t2t-processes-")
        self._killed: set[int] = set()
        # Of each: when it last touched its file, as the file says, and for how long it has not.
        self._signs: list[tuple[int, float]] = []
        self._first_signs: list[int] = []
        self._hung: dict[int, float] = {}
        self._looked = time.monotonic()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if count > 1:
            environment[COORDINATOR] = f"127.0.0.1:{_two_free_ports()}"
            environment[PROCESSES] = str(count)
        self.children = []
        for process in range(count):
            sign = self._file(process, "beat")
            # Made here, so that a disk that fills up later does not look like a hang.
            with open(sign, "wb"):
                self._first_signs.append(os.stat(sign).st_mtime_ns)
            self._signs.append((self._first_signs[process], 0.0))
            own = {OUTCOME: self._file(process, "json"), heartbeat.VARIABLE: sign}
            own |= {SUPERVISOR: str(os.getpid())}
            own |= {PROCESS: str(process)} if count > 1 else {}
            started = subprocess.Popen(
                [*program, *command],
                env=environment | own,
                stderr=subprocess.PIPE if count > 1 else None,
                start_new_session=True,
            )
            self.children.append(started)
            threading.Thread(target=self._watch, args=(process, started), daemon=True).start()

    def _file(self, process: int, kind: str) -> str:
        return os.path.join(self._scratch.name, f"{process}.{kind}")

    def _watch(self, process: int, child: subprocess.Popen) -> None:
        if child.stderr is not None:
            for line in child.stderr:
                sys.stderr.write(f"{process}| {line.decode(errors='replace')}")
                sys.stderr.flush()
        self._ended.put((process, child.wait()))

    def next_ending(self, seconds: float) -> Ending | None:
        """Waits for the next process to end; None where none does in time."""
        try:
            process, code = self._ended.get(timeout=max(seconds, 0))
        except queue.Empty:
            return None
        kind, line = "", ""
        with contextlib.suppress(OSError, ValueError, KeyError):
            with open(self._file(process, "json"), encoding="utf-8") as file:
                told = json.load(file)
            kind, line = told["kind"], told["line"]
        if code < 0 and process in self._hung and kind in ("done", "stopped"):
            code = 0  # all is saved; what it was stuck in is Python's or the device's own end
        elif code < 0 and process in self._hung:
            kind = "hang"
            line = (
                f"process {process} gave no sign of life for {self._hung[process]:g} s (stopped, or "
                "stuck) and was killed by the supervisor"
            )
        elif code < 0:
            name = signal.Signals(-code).name
            by = "the supervisor, with " if process in self._killed else ""
            line = f"process {process} was killed by {by}{name}" + (f" ({line})" if line else "")
            kind = kind or "killed"
        elif not kind:
            kind = {0: "done", 2: "user"}.get(code, "crash")
        return Ending(process, code, kind, line)

    def signal(self, number: int) -> None:
        """Sends a signal to every process that is still there."""
        for child in self.children:
            if child.poll() is None:
                child.send_signal(number)

    def kill_silent(self, seconds: float) -> list[int]:
        """Kills those that have given no sign of life for so long; returns which.

        To be called often: from one look to the next at most two seconds count, so that nobody is
        taken for silent because this process itself, or the whole machine, was stopped.
        """
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, 2.0), now
        found = []
        for process, started in enumerate(self.children):
            if process in self._hung or started.poll() is not None:
                continue
            last, silent = self._signs[process]
            with contextlib.suppress(OSError):
                sign = os.stat(self._file(process, "beat")).st_mtime_ns
                silent = silent + passed if sign == last else 0.0
                self._signs[process] = sign, silent
            first = self._signs[process][0] == self._first_signs[process]
            if silent > seconds + (_FIRST_SIGN_SECONDS if first else 0.0):
                self._hung[process] = seconds
                self._kill_group(started.pid)
                found.append(process)
        return found

    def kill(self) -> None:
        """Kills every process, and what processes of their own they have left behind."""
        for process, child in enumerate(self.children):
            if child.poll() is None:
                self._killed.add(process)
            self._kill_group(child.pid)

    @staticmethod
    def _kill_group(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    def close(self) -> None:
        """Kills what is left, and waits for it."""
        self.kill()
        for child in self.children:
            child.wait()
        self._scratch.cleanup()


def wait_for_all(
    processes: Processes,
    count: int,
    limits: Limits,
    say: Callable[[str], None],
    asked_at: Callable[[], float | None] = lambda: None,
) -> tuple[list[Ending], float]:
    """Waits for all processes to end; returns the endings in order, and seconds from first to last.

    Who gives no sign of life is killed. After the first that did not end well the others have
    `limits.grace` seconds, and once this process was asked to stop (asked_at returns when) all have
    `limits.stop`; then they are killed.
    """
    endings: list[Ending] = []
    first = bad = killed = None
    while len(endings) < count:
        heartbeat.beat()
        asked = asked_at()
        silent = limits.silent if asked is None else min(limits.silent, limits.grace)
        for process in processes.kill_silent(silent):
            say(f"process {process} gave no sign of life for {silent:g} s: killed")
        ends = [
            (since + seconds, seconds)
            for since, seconds in ((bad, limits.grace), (asked, limits.stop))
            if since is not None
        ]
        deadline, seconds = min(ends, default=(math.inf, 0.0))
        if killed is not None:
            deadline = killed + 60
        left = deadline - time.monotonic()
        found = processes.next_ending(min(left, heartbeat.SECONDS))
        if found is None:
            if time.monotonic() < deadline:
                continue
            there = sorted(set(range(count)) - {e.process for e in endings})
            say(f"process {', '.join(map(str, there))} did not leave in {seconds:g} s: killed")
            processes.kill()
            killed = time.monotonic()
            continue
        endings.append(found)
        first = first or time.monotonic()
        if found.code and bad is None:
            bad = time.monotonic()
    return endings, time.monotonic() - first


def _two_free_ports() -> int:
    """Returns a free port after which the next is free too."""
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 0)) as one:
            port = one.getsockname()[1]
            if port < 65535:
                with socket.create_server(("127.0.0.1", port + 1)):
                    return port
    raise OSError("no two free ports beside each other")
