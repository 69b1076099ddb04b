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
from collections.abc import Sequence

from t2t.launch import heartbeat
from t2t.parallel.gang import OUTCOME
from t2t.parallel.hosts import COORDINATOR, PROCESS, PROCESSES

T2T = (sys.executable, "-m", "t2t.cli")


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a process ended: its exit code (negative: a signal), and what it said of it."""

    process: int
    code: int
    kind: str  # done, stopped, user, crash, gone, hang, missing, differs; killed: it could say nothing
    line: str


class Processes:
    """Starts `count` processes of a command, each in a process group of its own.

    One process inherits the environment, in which it may find other machines; several are given
    numbers and an address on loopback, and their output is led by the number.
    """

    def __init__(self, command: Sequence[str], count: int, program: Sequence[str] = T2T):
        self._ended: queue.Queue = queue.Queue()
        self._scratch = tempfile.TemporaryDirectory(prefix="t2t-processes-")
        self._killed: set[int] = set()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if count > 1:
            environment[COORDINATOR] = f"127.0.0.1:{_two_free_ports()}"
            environment[PROCESSES] = str(count)
        self.children = []
        for process in range(count):
            own = {OUTCOME: self._outcome(process)} | ({PROCESS: str(process)} if count > 1 else {})
            child = subprocess.Popen(
                [*program, *command],
                env=environment | own,
                stderr=subprocess.PIPE if count > 1 else None,
                start_new_session=True,
            )
            self.children.append(child)
            threading.Thread(target=self._watch, args=(process, child), daemon=True).start()

    def _outcome(self, process: int) -> str:
        return os.path.join(self._scratch.name, f"{process}.json")

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
            with open(self._outcome(process), encoding="utf-8") as file:
                told = json.load(file)
            kind, line = told["kind"], told["line"]
        if code < 0:
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

    def kill(self) -> None:
        """Kills every process, and what processes of their own they have left behind."""
        for process, child in enumerate(self.children):
            if child.poll() is None:
                self._killed.add(process)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kills what is left, and waits for it."""
        self.kill()
        for child in self.children:
            child.wait()
        self._scratch.cleanup()


def wait_for_all(
    processes: Processes, count: int, grace_seconds: float, say
) -> tuple[list[Ending], float]:
    """Waits for all processes to end; returns the endings in order, and seconds from first to last.

    After the first that did not end well the others have `grace_seconds`, then they are killed.
    """
    endings: list[Ending] = []
    first = deadline = None
    while len(endings) < count:
        heartbeat.beat()
        left = math.inf if deadline is None else deadline - time.monotonic()
        found = processes.next_ending(min(left, heartbeat.SECONDS))
        if found is None:
            if left > heartbeat.SECONDS:
                continue
            there = sorted(set(range(count)) - {e.process for e in endings})
            say(
                f"process {', '.join(map(str, there))} did not leave in {grace_seconds:g} s: killed"
            )
            processes.kill()
            deadline = time.monotonic() + 60
            continue
        endings.append(found)
        first = first or time.monotonic()
        if found.code and deadline is None:
            deadline = time.monotonic() + grace_seconds
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
