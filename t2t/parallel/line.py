"""A process's end of the line between the hosts of a run (see `hub`).

A thread hears what the hub says, whatever the main thread is busy with: a failure anywhere ends this
process at once; a request to stop, from a signal here or anywhere, becomes a point that all reach.
"""

import contextlib
import os
import selectors
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from t2t.errors import Failure
from t2t.parallel.hosts import Place
from t2t.parallel.hub import Hub, Peer

# Called with (line, kind, exit code): this process ends. kind: gone, hang, missing, differs, user,
# crash (said by the host itself), stop (asked to, before anything was begun).
OnEnd = Callable[[str, str, int], None]
_END = "the end"
_ROOT_CAUSE_SECONDS = 2.0  # for what brought a device error about to be heard of before that error


class Line:
    """Joins the other processes of a run.

    start_seconds: how long all of them may take to start. silent_seconds: how long one may give no
    sign of life. on_end: ends this process, and does not return (tests may).
    """

    def __init__(self, place: Place, start_seconds: float, silent_seconds: float, on_end: OnEnd):
        self._place, self._on_end = place, on_end
        self._silent, self._start_seconds = silent_seconds, start_seconds
        self._beat = min(1.0, silent_seconds / 5)
        self._deadline = time.monotonic() + start_seconds
        self._changed = threading.Condition()
        self._complete = self._left = False
        self._met: dict[str, Any] = {}
        self._met_times: dict[str, int] = {}
        self.ended = False
        # Stopping: the last point passed, that told to the hub, where all stop.
        self.stop_reason: str | None = None
        self._point = 0
        self._told: int | None = None
        self._until: int | None = None
        self.phase = "start"
        self.hub: Hub | None = None
        if place.process == 0:
            try:
                self.hub = Hub(place.address, place.processes, start_seconds, silent_seconds)
            except OSError as error:
                raise Failure(
                    f"port {place.address[1]} of {place.coordinator} cannot be listened at "
                    f"({error.strerror or error}); is another run using it?"
                ) from None
        self._signals, self._signal_end = socket.socketpair()
        self._signals.setblocking(False)
        self._signal_end.setblocking(False)
        self._peer: Peer | None = None

    @property
    def connected(self) -> bool:
        """Whether the hub has been reached."""
        return self._peer is not None

    def join(self) -> None:
        """Calls the hub, and waits until every process has.

        Raises: Failure where the hub cannot be reached; what it refuses ends this process.
        """
        peer = self._connect()
        name = f"{socket.gethostname()}, pid {os.getpid()}"
        hello = {"is": "hello", "process": self._place.process, "name": name}
        peer.send({**hello, "processes": self._place.processes})
        self._peer = peer
        thread = threading.Thread(target=self._run, name="t2t-line", daemon=True)
        thread.start()
        self._wait(lambda: self._complete)

    def _connect(self) -> Peer:
        error: OSError | None = None
        while True:
            try:
                return Peer(socket.create_connection(self._place.address, timeout=5.0))
            except OSError as found:
                error = found
            if time.monotonic() > self._deadline:
                raise Failure(
                    f"host 0 of {self._place.processes} did not answer at {self._place.coordinator} "
                    f"for {self._start_seconds:g} s ({error.strerror or error}); is it started, and "
                    "does the network let this port and the next through?"
                )
            time.sleep(0.2)

    # ------------------------------------------------------------------------ the main thread's

    def meet(self, name: str, value: Any = None) -> Any:
        """Waits until every process has come here; returns the value that process 0 brought."""
        return self._round(name, {"is": "meet", "value": value})

    def agree(self, name: str, facts: dict[str, str]) -> None:
        """Compares facts over all processes; where they differ every process ends, naming whose."""
        self._round(name, {"is": "agree", "facts": facts})

    def _round(self, name: str, message: dict) -> Any:
        # The same name may serve again, as long as all call in the same order.
        with self._changed:
            count = self._met_times[name] = self._met_times.get(name, 0) + 1
        key = f"{name} {count}"
        self._peer.send({**message, "name": key})
        self._wait(lambda: key in self._met)
        return self._met.pop(key, None)

    def tell(self, values: dict[str, float]) -> None:
        """Leaves numbers with the hub (`Hub.latest`), without waiting."""
        self._peer.send({"is": "tell", "values": values})

    def passed(self) -> bool:
        """Whether all stop here. Every process calls this at the same places, in the same order.

        Of the processes that have heard of a request, none passes another point before all have told
        how far they are; the next point that nobody has passed is where all stop.
        """
        with self._changed:
            while self._told is not None and self._until is None and not self.ended:
                self._changed.wait(0.5)
            if self._until is not None and self._point + 1 >= self._until:
                return True
            self._point += 1
            return False

    def fail(self, line: str, kind: str, code: int, *, doubtful: bool = False) -> None:
        """Ends every process of the run, this one too; does not return (but where on_end does).

        doubtful: what failed may be the doing of another host, which then is heard of in a moment.
        """
        if doubtful:
            with self._changed:
                self._changed.wait_for(lambda: self.ended, _ROOT_CAUSE_SECONDS)
        if not self.ended:
            self._peer.send({"is": "fail", "line": line, "kind": kind, "code": code})
            with self._changed:
                self._changed.wait_for(lambda: self.ended, _ROOT_CAUSE_SECONDS)
        self._end(line, kind, code)

    def leave(self) -> None:
        """Leaves in good order: waits for all to come to the end; who goes after that is not missed."""
        self.meet(_END)
        self._peer.send({"is": "bye"})

    def _wait(self, there: Callable[[], bool]) -> None:
        with self._changed:
            while not there() and not self.ended:
                self._changed.wait(1.0)
        if self.ended:
            raise Failure("this run of several hosts has ended")

    # --------------------------------------------------------------------------------- signals

    def listen(self) -> None:
        """Takes SIGTERM and Ctrl-C for requests to stop; to be called again after JAX's start.

        The handler in C hands the signal to the thread at once; one in Python would wait for the
        main thread, which may be compiling or reading a checkpoint for minutes.
        """
        if threading.current_thread() is not threading.main_thread():
            return

        def before_the_line(number: int, _frame) -> None:
            if not self.connected:
                os.write(2, b"\nasked to stop before the other hosts were reached\n")
                os._exit(0)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, before_the_line)
        signal.set_wakeup_fd(self._signal_end.fileno(), warn_on_full_buffer=False)

    def _take_signals(self) -> None:
        with contextlib.suppress(OSError):
            for number in self._signals.recv(64):
                if number not in (signal.SIGTERM, signal.SIGINT):
                    continue
                if number == signal.SIGINT and self.stop_reason is not None:
                    os.write(2, b"\nleaving at once; the newest checkpoint stands\n")
                    os._exit(130)
                self.request_stop(signal.Signals(number).name)

    def request_stop(self, reason: str) -> None:
        """Asks all processes to stop at the next point that nobody has passed."""
        self._peer.send({"is": "stop", "reason": reason})

    # ------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            self._listen()
        except Exception as error:  # a fault of ours: this process would hear of nothing any more
            traceback.print_exc()
            self._end(f"the line to the other hosts failed: {error!r}", "crash", 1)

    def _listen(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._peer.connection, selectors.EVENT_READ)
        selector.register(self._signals, selectors.EVENT_READ)
        next_beat = 0.0
        while not self.ended:
            for key, _ in selector.select(self._beat / 2):
                if key.fileobj is self._signals:
                    self._take_signals()
                    continue
                messages = self._peer.receive()
                for message in messages or ():
                    getattr(self, f"_on_{message['is']}")(message)
                if messages is None:
                    if self._left:
                        return
                    self._end(
                        f"{self._first()} is gone: its process ended without a word", "gone", 1
                    )
            now = time.monotonic()
            if now >= next_beat:
                self._peer.send({"is": "beat", "phase": self.phase})
                next_beat = now + self._beat
            if now - self._peer.heard > self._silent and not self.ended:
                self._end(
                    f"{self._first()} has given no sign of life for {self._silent:g} s "
                    "(stopped, or cut off)",
                    "hang",
                    1,
                )

    def _first(self) -> str:
        return f"host 0 of {self._place.processes} (the coordinator, {self._place.coordinator})"

    def _on_beat(self, message: dict) -> None:
        """A sign of life, which `Peer.heard` has noted."""

    def _on_complete(self, message: dict) -> None:
        self._change(lambda: setattr(self, "_complete", True))

    def _on_met(self, message: dict) -> None:
        self._left |= message["name"] == f"{_END} 1"
        self._change(lambda: self._met.update({message["name"]: message["value"]}))

    def _on_stop(self, message: dict) -> None:
        with self._changed:
            self.stop_reason = message["reason"]
            self._told = self._point
            self._peer.send({"is": "at", "point": self._point})
        os.write(2, f"\n{self.stop_reason}: saving and leaving after this step\n".encode())

    def _on_until(self, message: dict) -> None:
        self._change(lambda: setattr(self, "_until", message["point"]))
        if message["point"] == 1:
            line = f"{self.stop_reason} before the first step: nothing new to save"
            self._end(line, "stop", 0)

    def _on_fail(self, message: dict) -> None:
        self._end(message["line"], message["kind"], message["code"])

    def _change(self, change: Callable[[], None]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    def _end(self, line: str, kind: str, code: int) -> None:
        with self._changed:
            if self.ended:
                return
            self.ended = True
            self._changed.notify_all()
        if self.hub is not None:  # the last to go: JAX's coordinator is in this process
            self.hub.wait_drained()
        self._on_end(line, kind, code)
