"""The metrics of train steps: read one step late, gated, written as rows.

Waiting for a step's metrics before the next is dispatched leaves the device idle; dispatching
without ever waiting lets steps pile up (simulated CPU devices then deadlock). So step N is read
when step N + 1 is under way: never more than one is in flight ahead of the one being read.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import jax

from t2t.data.feed import Feed
from t2t.errors import Failure
from t2t.monitoring import flops
from t2t.monitoring.metrics import MetricWriter
from t2t.monitoring.progress import Progress
from t2t.monitoring.stragglers import host_row, straggler
from t2t.objectives.implementations import implementation
from t2t.parallel.gang import Hosts

WRITTEN = (
    "loss",
    "z_loss",
    "accuracy",
    "grad_norm",
    "update_norm",
    "param_norm",
    "learning_rate",
)
_NAME_EVERY_SECONDS = 60.0


class StepMetrics:
    """Reads the metrics of steps after `start`, shows them, and writes a row every `log_every`."""

    def __init__(
        self,
        run,
        hosts: Hosts,
        devices: int,
        start: int,
        writer: MetricWriter,
        progress: Progress,
        feed: Feed,
    ):
        self._run, self._hosts, self._devices = run, hosts, devices
        self._writer, self._progress, self._feed = writer, progress, feed
        lengths = implementation(run.posed).lengths(run.posed)
        self._row_flops = flops.run_flops(run, *lengths)
        self._pending: tuple | None = None
        self._bad = 0  # steps in a row that were not finite
        # Since the last row: when it was, which step, how long next(feed) waited, tokens, rows.
        self._clock, self._counted, self._waited = time.monotonic(), start, 0.0
        self._tokens = self._rows = 0
        self._on_devices = 0.0  # since the last row: seconds waited for the devices
        self._begun, self._paused = self._clock, 0.0
        self._named = -math.inf  # when a straggler was last named

    @property
    def seconds(self) -> float:
        """How long the steps have taken in all; pauses do not count."""
        return time.monotonic() - self._begun - self._paused

    def push(self, step: int, metrics: dict, rows: int) -> None:
        """Takes the metrics of a step just dispatched (on `rows` rows); reads those before it."""
        self.read()
        self._pending = (step, metrics, rows)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Reads what is pending; what happens inside does not count as any step's time."""
        self.read()
        entered = time.monotonic()
        yield
        took = time.monotonic() - entered
        self._clock += took
        self._paused += took

    def read(self) -> None:
        """Waits for the pending step. Raises: Failure after bad_steps non-finite ones in a row."""
        if self._pending is None:
            return
        (step, metrics, rows), self._pending = self._pending, None
        asked = time.monotonic()
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        self._on_devices += time.monotonic() - asked
        self._gate(step, bool(values["skipped"]), self._progress.say)
        self._tokens += values["tokens"]
        self._rows += rows
        steps, now = step - self._counted, time.monotonic()
        seconds = self._row_seconds = max(now - self._clock, 1e-9)
        self._progress.update(step, values["loss"], self._tokens / seconds)
        if step % self._run.monitoring.log_every and step != self._run.training.steps:
            return
        more = values.keys() - {*WRITTEN, "weight", "skipped", "tokens"}
        row = {name: values[name] for name in (*WRITTEN, *sorted(more))} | {
            "skipped": int(values["skipped"]),
            "tokens_per_second": self._tokens / seconds,
            "step_seconds": seconds / steps,
            "data_wait_seconds": (self._feed.data_wait_seconds - self._waited) / steps,
        }
        used = flops.mfu(
            self._row_flops * self._rows, seconds, self._devices, jax.devices()[0].device_kind
        )
        if self._hosts.several:
            row |= self._of_hosts(row)
        self._writer.write(step, "train", row | ({} if used is None else {"mfu": used}))
        self._clock, self._counted, self._waited = now, step, self._feed.data_wait_seconds
        self._tokens = self._rows = 0
        self._on_devices = 0.0

    def _of_hosts(self, row: dict[str, float]) -> dict[str, float]:
        """Tells process 0 this host's own seconds; returns what it has been told of all.

        That is of the row before on hosts that are later than this one: nobody waits for it.
        """
        steps = row["step_seconds"]
        own = steps - row["data_wait_seconds"] - self._on_devices * steps / self._row_seconds
        self._hosts.tell(
            {"data_wait_seconds": row["data_wait_seconds"], "host_seconds": max(own, 0.0)}
        )
        told, now = self._hosts.told(), time.monotonic()
        line = straggler(told, steps)
        if line and now - self._named > _NAME_EVERY_SECONDS:
            self._named = now
            self._progress.say(line)
        return host_row(told)

    def _gate(self, step: int, skipped: bool, say: Callable[[str], None]) -> None:
        self._bad = self._bad + 1 if skipped else 0
        if skipped:
            say(f"step {step}: loss, gradient or update is not finite; the update was skipped")
        if self._bad >= self._run.training.bad_steps:
            raise Failure(
                f"{self._bad} steps in a row, the last is {step}, had a loss, gradient or update "
                "that is not finite; lower the learning rate (config.schedule.peak) or clip "
                "(config.optimizer.clip_global_norm); --debug names the layer"
            )
