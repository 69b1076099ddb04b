"""What can go wrong from outside: a request to stop, and a step that never ends."""

import contextlib
import faulthandler
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator

from t2t.errors import Failure
from t2t.parallel.gang import Alone, Hosts
from t2t.parallel.line import Line


class StopRequest:
    """Set by SIGTERM or Ctrl-C; the loop saves and leaves at the next step. A second one leaves now."""

    def __init__(self):
        self.reason: str | None = None
        self._at_once = False

    def __bool__(self) -> bool:
        return self.reason is not None

    @property
    def heard(self) -> bool:
        """Whether a request has come; of several hosts perhaps not yet to all."""
        return self.reason is not None

    def _receive(self, number: int, _frame) -> None:
        name = signal.Signals(number).name
        if self.reason is not None and number == signal.SIGINT:
            os.write(2, b"\nleaving at once; the newest checkpoint stands\n")
            os._exit(130)
        first, self.reason = self.reason is None, name
        if self._at_once:
            if first:
                raise KeyboardInterrupt
            return
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

    @contextlib.contextmanager
    def leaving_at_once(self) -> Iterator[None]:
        """Where there is nothing to save: a request ends the block at once, and is noted."""
        self._at_once = True
        try:
            yield
        except KeyboardInterrupt:
            if not self:
                raise
        finally:
            self._at_once = False


class StopOfAll:
    """A request to stop that came to any of several hosts: true at the same place on all of them.

    So all must ask for its truth at the same places, in the same order. Before the first place a
    request ends every host at once, from the line's thread.
    """

    def __init__(self, line: Line):
        self._line = line

    def __bool__(self) -> bool:
        return self._line.passed()

    @property
    def heard(self) -> bool:
        """Whether a request has come, to this host at least."""
        return self._line.stop_reason is not None

    @property
    def reason(self) -> str | None:
        """Which signal it was, and to which host."""
        return self._line.stop_reason

    @contextlib.contextmanager
    def listening(self):
        """The line listens from the start of the hosts to their end."""
        yield self

    @contextlib.contextmanager
    def leaving_at_once(self) -> Iterator[None]:
        """The line's thread leaves at once, here and elsewhere."""
        yield


def stop_request(hosts: Hosts) -> StopRequest | StopOfAll:
    """Returns what says whether to stop: one process's own signals, or those of all hosts."""
    return StopOfAll(hosts.line) if hosts.several else StopRequest()


class Watchdog:
    """Dumps every thread's stack, and the last phase named, when a phase takes too long.

    hosts: told of every phase, and of one that takes too long: of several hosts all then end, and
    one alone where it is supervised.
    """

    def __init__(self, seconds: float, stream=None, hosts: Hosts = Alone()):  # noqa: B008
        self._seconds, self._stream, self._hosts = seconds, stream or sys.stderr, hosts
        self.last, self._since = "start", time.monotonic()
        self._limited, self._fatal = True, False
        self._done = threading.Event()
        self._thread = None
        if seconds > 0:
            self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")
            self._thread.start()

    def phase(self, name: str, limited: bool = True, fatal: bool = True) -> None:
        """Notes that a new phase began; this is also the sign of life.

        limited: False where a phase may rightly take any time (preparing text, writing to disk).
        fatal: False where one that takes long is said, but nobody ends (compiling).
        """
        self.last, self._limited, self._fatal = name, limited, fatal
        self._since = time.monotonic() if limited else math.inf
        self._hosts.phase(name)

    @contextlib.contextmanager
    def during(self, name: str, limited: bool = True, fatal: bool = True) -> Iterator[None]:
        """A phase inside another, which then begins anew."""
        outer = self.last, self._limited, self._fatal
        self.phase(name, limited, fatal)
        try:
            yield
        finally:
            self.phase(*outer)

    def watched(self, name: str, items: Iterable) -> Iterator:
        """Yields the items, each of them a sign of life of the phase."""
        self.phase(name)
        for item in items:
            yield item
            self.phase(name)

    def _watch(self) -> None:
        while not self._done.wait(min(self._seconds / 4, 5.0)):
            if time.monotonic() - self._since > self._seconds:
                print(
                    f"watchdog: {self.last!r} has taken over {self._seconds:g} s; stacks of "
                    "every thread follow",
                    file=self._stream,
                    flush=True,
                )
                faulthandler.dump_traceback(file=self._stream, all_threads=True)
                if self._fatal:
                    self._hosts.late(self.last, self._seconds)
                self._since = time.monotonic()  # once per period, not once per look

    def __enter__(self) -> "Watchdog":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends the watching."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()


@contextlib.contextmanager
def device_failures(watchdog: Watchdog) -> Iterator[None]:
    """Turns what the runtime raises into a Failure of one line that names the phase it came in."""
    import jax

    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        text = " ".join(str(error).split())
        advice = (
            "; a smaller config.data.batch_size, more config.training.accumulation or "
            "config.model.remat='full' need less memory"
            if "RESOURCE_EXHAUSTED" in text
            else ""
        )
        raise Failure(f"{watchdog.last}: the device failed: {text[:300]}{advice}") from error
