"""What can go wrong from outside: a request to stop, and a step that never ends."""

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time


class StopRequest:
    """Set by SIGTERM or Ctrl-C; the loop saves and leaves at the next step. A second one leaves now."""

    def __init__(self):
        self.reason: str | None = None

    def __bool__(self) -> bool:
        return self.reason is not None

    def _receive(self, number: int, _frame) -> None:
        name = signal.Signals(number).name
        if self.reason is not None and number == signal.SIGINT:
            os.write(2, b"\nleaving at once; the newest checkpoint stands\n")
            os._exit(130)
        self.reason = name
        os.write(2, f"\n{name}: saving and leaving after this step\n".encode())

    @contextlib.contextmanager
    def listening(self):
        """Installs the handlers (main thread only) and puts the old ones back at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        old = {n: signal.signal(n, self._receive) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


class Watchdog:
    """Dumps every thread's stack, and the last phase named, when a phase takes too long."""

    def __init__(self, seconds: float, stream=None):
        self._seconds, self._stream = seconds, stream or sys.stderr
        self._phase, self._since = "start", time.monotonic()
        self._done = threading.Event()
        self._thread = None
        if seconds > 0:
            self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")
            self._thread.start()

    def phase(self, name: str) -> None:
        """Notes that a new phase began; this is also the sign of life."""
        self._phase, self._since = name, time.monotonic()

    def _watch(self) -> None:
        while not self._done.wait(min(self._seconds / 4, 5.0)):
            if time.monotonic() - self._since > self._seconds:
                print(
                    f"watchdog: {self._phase!r} has taken over {self._seconds:g} s; stacks of "
                    "every thread follow",
                    file=self._stream,
                    flush=True,
                )
                faulthandler.dump_traceback(file=self._stream, all_threads=True)
                self._since = time.monotonic()  # once per period, not once per look

    def close(self) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
