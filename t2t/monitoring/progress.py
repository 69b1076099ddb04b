"""What a person watching sees: a bar on a terminal, plain lines anywhere else."""

import sys
import time

from tqdm import tqdm


def duration(seconds: float) -> str:
    """Returns `1:02:03` or `2:03`."""
    seconds = int(max(seconds, 0))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Progress:
    """Shows step, loss, tokens/s and time left; `kind` is auto, bar, lines or off.

    `say` works from the start; steps are shown from `begin` on. A context manager. shown: False is
    for all but the first of several processes, which say the same.
    """

    def __init__(self, total: int, kind: str = "auto", stream=None, shown: bool = True):
        self._stream, self._shown_at_all = stream or sys.stderr, shown
        if not shown:
            kind = "off"
        if kind == "auto":
            kind = "bar" if self._stream.isatty() else "lines"
        self._kind, self._total = kind, total
        self._bar = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, start: int) -> None:
        """Starts the clock of the time left: step `start` is done, the first to come is next."""
        self._start = start
        self._begun = self._shown = time.monotonic()
        if self._kind == "bar":
            self._bar = tqdm(
                total=self._total,
                initial=start,
                unit="step",
                file=self._stream,
                dynamic_ncols=True,
                smoothing=0.1,
            )

    def say(self, text: str) -> None:
        """Prints a line that stays (above the bar where there is one)."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        elif self._shown_at_all:
            print(text, file=self._stream, flush=True)

    def update(self, step: int, loss: float, tokens_per_second: float) -> None:
        """Shows that `step` steps are done; lines come at most every two seconds, and at the end."""
        if self._bar is not None:
            self._bar.set_postfix_str(
                f"loss {loss:.3f}, {tokens_per_second:,.0f} tokens/s", refresh=False
            )
            self._bar.update(step - self._bar.n)
            return
        now = time.monotonic()
        if self._kind == "off" or (now - self._shown < 2.0 and step != self._total):
            return
        self._shown = now
        done = max(step - self._start, 1)
        left = (now - self._begun) / done * (self._total - step)
        print(
            f"step {step:>7}/{self._total}  loss {loss:7.4f}  "
            f"{tokens_per_second:>9,.0f} tokens/s  {duration(left)} left",
            file=self._stream,
            flush=True,
        )
