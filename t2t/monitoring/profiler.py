"""A profiler capture of some steps of a run, written for TensorBoard and Perfetto."""

from collections.abc import Callable

import jax


class Profile:
    """Captures steps `first` to `last` (0, 0: none), or what is left of them in a run that was resumed
    after step `done`; where nothing is left it says so.

    A context manager: a capture still running when it is left ends there.
    """

    def __init__(
        self, steps: tuple[int, int], folder: str, say: Callable[[str], None], done: int = 0
    ):
        (self._first, self._last), self._folder, self._say = steps, folder, say
        self._running = False
        if 0 < self._last <= done:
            say(
                f"profile of steps {self._first} to {self._last}: nothing is captured, since step "
                f"{done} is done already; with a --workdir of its own a run begins at step 1"
            )

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *_) -> None:
        self._stop("the step before")

    def before(self, step: int, settle: Callable[[], None]) -> None:
        """Begins where it is time; `settle` waits for the steps before, which do not belong to it."""
        if not self._running and self._first <= step <= self._last:
            settle()
            jax.profiler.start_trace(self._folder)
            self._running, self._began = True, step

    def after(self, step: int, settle: Callable[[], None]) -> None:
        """Ends after the last step, once it is done."""
        if self._running and step >= self._last:
            settle()
            self._stop(str(step))

    def _stop(self, last: str) -> None:
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
            self._say(f"profile of steps {self._began} to {last}: {self._folder}")
