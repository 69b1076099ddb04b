"""What a person watching an evaluation sees: examples done, examples a second, time left."""

import sys
import time

from tqdm import tqdm

from t2t.monitoring.progress import duration


class ExamplesProgress:
    """A bar for each task and step on a terminal, plain lines at most every two seconds elsewhere.

    Call it with (task, step, examples done, examples in all) after each batch.
    """

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._place: tuple[str, int] | None = None
        self._bar: tqdm | None = None
        self._begun = self._shown = time.monotonic()
        self._first = 0

    def say(self, text: str) -> None:
        """Prints a line that stays; the clock of the next task starts here."""
        self.close()
        print(text, file=self._stream, flush=True)
        self._begun = time.monotonic()

    def __call__(self, name: str, step: int, done: int, total: int) -> None:
        if self._place != (name, step):
            self.close()
            self._place, self._first = (name, step), 0
            if self._stream.isatty():
                self._bar = tqdm(total=total, unit="example", file=self._stream, dynamic_ncols=True)
                self._bar.set_description(f"{name} at step {step}")
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if not self._first:  # what the first batch took is mostly compilation
            self._first, self._begun = done, now
        elif self._bar is None and (now - self._shown >= 2 or done == total):
            rate = (done - self._first) / max(now - self._begun, 1e-9)
            print(
                f"{name} at step {step}: {done} of {total}  {rate:,.1f} examples/s  "
                f"{duration((total - done) / max(rate, 1e-9))} left",
                file=self._stream,
                flush=True,
            )
            self._shown = now

    def close(self) -> None:
        """Ends the bar of the task in hand."""
        if self._bar is not None:
            self._bar.close()
        self._bar = self._place = None
