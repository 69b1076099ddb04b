"""Starts a run's processes again until the run has ended, and says each time why.

What ends one process ends all of them (fail-stop), so a supervisor on every machine restarts its own
part and they meet again; a run resumes from its newest sound checkpoint by itself. Of what went
wrong three are told apart: a crash and a hang (waited for longer each time, up to a limit, until a
new checkpoint shows that there is progress; without any it gives up), and preemption (asked to stop,
everything was saved: starts again at once). What the user must mend (exit code 2) is not tried again.

A hang is noticed in three places: of several hosts by the others (the line between them), of a step
that takes too long by the process's own watchdog, and of a process that can say nothing any more
(stopped, or stuck in C) here, by its heartbeat.
"""

import contextlib
import dataclasses
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from t2t.data import files
from t2t.errors import Interrupted, UserError
from t2t.launch import heartbeat
from t2t.launch.local import T2T, Ending, Limits, Processes, wait_for_all

_HANGS = ("hang", "missing")
_SILENT_SECONDS = 60.0  # as --host-timeout of `train`, where the command does not say
# Of the endings of one attempt, whose word is the cause: what a process says of itself first, what
# others say of it then, and last what only the system knows.
_CAUSES = ("user", "differs", "hang", "missing", "crash", "gone", "killed")


@dataclasses.dataclass(frozen=True)
class Patience:
    """How often, and after how long, to start again.

    restarts: attempts in a row without a new checkpoint. first_wait, longest_wait: seconds before
    the next attempt; doubled each time. grace: seconds for the other processes to leave by
    themselves. stop: seconds to save and leave, once asked to stop.
    """

    restarts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    grace: float = 20.0
    stop: float = 300.0


def supervise(
    command: Sequence[str],
    processes: int,
    patience: Patience,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    program: Sequence[str] = T2T,
) -> int:
    """Runs a command in `processes` processes until it is done; returns the exit code.

    SIGTERM and Ctrl-C are handed on, and what then ends is not started again (exit code 75); what
    does not end is killed (exit code 1). A process without a sign of life for `--host-timeout`
    seconds of the command is killed, and that is a hang. All the while the heartbeat's file is
    touched (t2t.launch.heartbeat).
    """
    asked = _Asked()
    folder = f"{workdir_of(command)}/checkpoints"
    silent = _seconds(option_of(command, "--host-timeout"), _SILENT_SECONDS)
    # Of several the others notice first, and say it better.
    silent += 2 * patience.grace if processes > 1 else 0.0
    limits = Limits(patience.grace, patience.stop, silent)
    failures, newest = 0, newest_checkpoint(folder)
    with asked.listening():
        attempt = 0
        while True:
            attempt += 1
            begun = time.monotonic()
            group = Processes(command, processes, program)
            pids = ", ".join(f"{i}: pid {child.pid}" for i, child in enumerate(group.children))
            say(f"supervisor: attempt {attempt}: started {pids}")
            asked.handed_to(group)
            try:
                endings, apart = wait_for_all(
                    *(group, processes, limits, lambda text: say(f"supervisor: {text}")),
                    asked_at=lambda: asked.at,
                )
            finally:
                group.close()
            before, newest = newest, newest_checkpoint(folder)
            what, line, code = verdict(endings)
            there = "no checkpoint yet" if newest is None else f"newest checkpoint: step {newest}"
            say(
                f"supervisor: attempt {attempt}: {what} after {time.monotonic() - begun:.1f} s"
                f"{': ' + line if line else ''}; the last process ended {apart:.1f} s after the "
                f"first; {there}"
            )
            if what == "done" or code == 2:
                return code
            if asked:
                return Interrupted.code if what == "preemption" else 1
            failures = 0 if what == "preemption" or newest != before else failures + 1
            if failures > patience.restarts:
                say(f"supervisor: gives up: {failures} attempts in a row made no new checkpoint")
                return 1
            wait = min(patience.first_wait * 2 ** max(failures - 1, 0), patience.longest_wait)
            say(f"supervisor: attempt {attempt + 1} in {wait:g} s")
            if asked.wait(wait):
                return Interrupted.code


def verdict(endings: Sequence[Ending]) -> tuple[str, str, int]:
    """Returns (done, preemption, crash, hang or refused, a line that says why, exit code)."""
    if all(ending.code == 0 for ending in endings):
        stopped = [ending for ending in endings if ending.kind == "stopped"]
        return ("preemption", stopped[0].line, 0) if stopped else ("done", "", 0)
    bad = [ending for ending in endings if ending.code]
    told = [ending for ending in bad if ending.kind in _CAUSES]
    cause = min(told, key=lambda e: _CAUSES.index(e.kind)) if told else bad[0]
    killed = [e.line for e in bad if e.code < 0 and e is not cause]
    line = "; ".join(
        [cause.line or f"process {cause.process} ended with code {cause.code}", *killed]
    )
    if cause.code == 2:
        return "refused", line, 2
    return ("hang" if cause.kind in _HANGS else "crash"), line, 1


def workdir_of(command: Sequence[str]) -> str:
    """Returns the run directory of a `train` command.

    Raises: UserError where it has no run directory of its own.
    """
    verb = command[0] if command else "nothing"
    if verb != "train":
        raise UserError(f"supervise: starts `train` again, not {verb}")
    found = option_of(command, "--workdir")
    if found is None:
        raise UserError("supervise: give the command a --workdir, to go on from its checkpoints")
    return found.rstrip("/")


def option_of(command: Sequence[str], name: str) -> str | None:
    """Returns the value of an option in a command; None where it is not there."""
    found = None
    for i, argument in enumerate(command):
        if argument == name and i + 1 < len(command):
            found = command[i + 1]
        if argument.startswith(f"{name}="):
            found = argument.partition("=")[2]
    return found


def _seconds(text: str | None, otherwise: float) -> float:
    """Reads seconds; what is none the command itself refuses."""
    try:
        return float(text or otherwise)
    except ValueError:
        return otherwise


def newest_checkpoint(folder: str) -> int | None:
    """Returns the newest finished step, by the names in the folder."""
    steps = [int(name) for name in files.listing(folder) if name.isdecimal()]
    return max(steps, default=None)


class _Asked:
    """Whether this process was asked to stop; the asking is handed on."""

    def __init__(self):
        self._event = threading.Event()
        self.at: float | None = None  # time.monotonic()
        self._group: Processes | None = None

    def __bool__(self) -> bool:
        return self._event.is_set()

    def handed_to(self, group: Processes) -> None:
        self._group = group
        if self:
            group.signal(signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """Waits, but not once asked to stop; returns whether it was."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self:
            heartbeat.beat()
            self._event.wait(min(left, heartbeat.SECONDS))
        return bool(self)

    def _receive(self, number: int, _frame) -> None:
        again = self._event.is_set()
        self.at = self.at or time.monotonic()
        self._event.set()
        if self._group is not None:
            if again and number == signal.SIGINT:
                self._group.kill()
            else:
                self._group.signal(signal.SIGTERM)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Installs the handlers (main thread only), and puts the old ones back at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {n: signal.signal(n, self._receive) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
