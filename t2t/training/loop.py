"""The training loop, from configuration to last checkpoint, top to bottom."""

import concurrent.futures
import dataclasses
import os
import time

import fsspec
import jax
import jax.numpy as jnp

from t2t.data.feed import Feed
from t2t.data.order import continue_schedule
from t2t.errors import Failure
from t2t.monitoring import compile_cache, flops
from t2t.monitoring.metrics import MetricWriter
from t2t.monitoring.model_table import model_table, parameter_count
from t2t.monitoring.progress import Progress, duration
from t2t.objectives.implementations import implementation
from t2t.parallel import sharding
from t2t.training import heldout
from t2t.training import programs as program_builder
from t2t.training.checkpoints import open_checkpoints
from t2t.training.faults import StopRequest, Watchdog
from t2t.training.inputs import open_inputs
from t2t.training.summary import closing_lines

KEPT_IN_MEMORY = (
    "loss",
    "z_loss",
    "accuracy",
    "grad_norm",
    "update_norm",
    "param_norm",
    "learning_rate",
)


def train(run, workdir: str, *, check_vocabulary, record: dict, debug: bool = False) -> None:
    """Trains (or resumes) `run` in `workdir`.

    check_vocabulary(vocabulary) refuses one that does not fit; record goes into every checkpoint.
    Raises: UserError for what was given, Failure for what broke; nothing saved before is lost.
    """
    begun = time.monotonic()
    progress = Progress(run.training.steps, 0, "lines" if debug else run.monitoring.progress)
    say = progress.say
    with StopRequest().listening() as stop:
        watchdog = Watchdog(run.training.watchdog_seconds)
        try:
            _train(run, workdir, check_vocabulary, record, debug, begun, say, stop, watchdog)
        finally:
            watchdog.close()


def _train(run, workdir, check_vocabulary, record, debug, begun, say, stop, watchdog) -> None:
    # ------------------------------------------------ programs and inputs, side by side
    cache = compile_cache.enable()
    events = compile_cache.CacheEvents()
    programs = program_builder.build(run)
    _describe(run, programs, workdir, cache, say)
    compiled = _Compiled(run, programs, debug)
    watchdog.phase("opening inputs")
    clock = time.monotonic()
    checkpoints = open_checkpoints(f"{workdir}/checkpoints", run.checkpoints)
    inputs = open_inputs(run, say, check=check_vocabulary)
    data_seconds = time.monotonic() - clock

    # ------------------------------------------------------------------ state: new or restored
    watchdog.phase("restoring or initialising")
    if checkpoints.latest_step() is None:
        state, start = programs.init(program_builder.init_key(run.training.seed)), 0
        pieces = run.data.pieces()
    else:
        start, state, saved = checkpoints.restore(programs.shapes)
        pieces = continue_schedule(saved["batch_pieces"], run.data.pieces(), start)
        say(f"resumed from step {start} of {workdir}")
    samples = dataclasses.replace(
        inputs.train, pieces=tuple(map(tuple, pieces)), among=run.training.repeat_samples
    )
    inputs = inputs._replace(train=samples)
    record = {
        **record,
        "batch_pieces": [list(p) for p in pieces],
        "tokenizer": inputs.tokenizer.vocabulary.fingerprint,
    }
    writer = MetricWriter(workdir, start, run.monitoring.tensorboard)
    writer.rows and start == 0 and say("starting over: no checkpoint was finished before")
    feed = _feed(run, programs, inputs.train, start, run.training.steps)

    # ----------------------------------------------------------------------------- compilation
    watchdog.phase("compiling")
    compile_seconds = compiled.wait(stop)
    if stop:
        feed.close()
        say(f"{stop.reason} before the first step: nothing to save")
        return
    say(
        f"compiled in {compile_seconds:.1f} s ({events.summary()}); data ready in "
        f"{data_seconds:.1f} s, beside it"
    )

    # --------------------------------------------------------------------------------- the loop
    progress = Progress(run.training.steps, start, run.monitoring.progress)
    say = progress.say
    last_saved, bad, pending = start if start else None, 0, None
    clock, waited, counted = time.monotonic(), 0.0, start

    def report() -> None:
        """Reads the pending step's metrics (the step after it is in flight), writes its row."""
        nonlocal pending, bad, clock, waited, counted
        if pending is None:
            return
        step, metrics, rows = pending
        pending = None
        values = {k: float(v) for k, v in jax.device_get(metrics).items()}
        bad = bad + 1 if values["skipped"] else 0
        if values["skipped"]:
            say(f"step {step}: loss or gradient is not finite; the update was skipped")
        if bad >= run.training.bad_steps:
            raise Failure(
                f"{bad} steps in a row, the last is {step}, had a loss or gradient that "
                "is not finite; lower the learning rate (config.schedule.peak) or clip "
                "(config.optimizer.clip_global_norm); --debug names the layer"
            )
        logged = step % run.monitoring.log_every == 0 or step == run.training.steps
        now = time.monotonic()
        seconds = (now - clock) / max(step - counted, 1)
        rate = values["tokens"] / max(seconds, 1e-9)
        progress.update(step, values["loss"], rate)
        if not logged:
            return
        row = {name: values[name] for name in KEPT_IN_MEMORY}
        row |= {
            "skipped": int(values["skipped"]),
            "tokens_per_second": rate,
            "step_seconds": seconds,
            "data_wait_seconds": (feed.data_wait_seconds - waited) / max(step - counted, 1),
        }
        device = jax.devices()[0].device_kind
        exact = flops.train_flops(
            run.model, *implementation(run.objective).lengths(run.objective), rows
        )
        used = flops.mfu(exact, seconds, programs.mesh.size, device)
        writer.write(step, "train", row | ({} if used is None else {"mfu": used}))
        clock, waited, counted = now, feed.data_wait_seconds, step

    def evaluate(step: int) -> dict[str, float]:
        """Scores every held-out corpus after `step` steps; nothing where a stop was asked for."""
        nonlocal clock
        found, entered = {}, time.monotonic()
        for name, samples in inputs.heldout.items():
            if writer.has(step, f"eval/{name}") or stop:
                continue
            watchdog.phase(f"evaluating {name} after step {step}")
            with _feed(run, programs, samples, 0, batches_of(run, samples)) as batches:
                scores = heldout.score(compiled.evaluate, state, batches, stop)
            if scores:
                writer.write(step, f"eval/{name}", scores)
                found[f"eval/{name}/loss"] = scores["loss"]
                say(
                    f"step {step:>7}  eval/{name}: loss {scores['loss']:.4f}, "
                    f"accuracy {scores['accuracy']:.4f}"
                )
        clock += time.monotonic() - entered
        return found

    def save(step: int, scores: dict[str, float]) -> None:
        nonlocal clock, last_saved
        if step == last_saved:
            return
        entered = time.monotonic()
        watchdog.phase(f"saving step {step}")
        report()  # a checkpoint never stands for a step whose metric row is not written
        writer.flush()
        checkpoints.save(step, state, record, scores)
        last_saved = step
        clock += time.monotonic() - entered

    scores = evaluate(start) if start < run.training.steps else {}
    first_profiled, last_profiled = run.monitoring.profile
    step = start
    try:
        for step in range(start + 1, run.training.steps + 1):
            watchdog.phase(f"step {step}: waiting for data")
            batch = next(feed)
            if step == first_profiled:
                jax.profiler.start_trace(os.path.join(workdir, "profile"))
            watchdog.phase(f"step {step}")
            state, metrics = compiled.train(state, batch)
            report()
            pending = (step, metrics, batch["targets"].shape[0])
            if step == start + 1:
                jax.block_until_ready(metrics)
                say(f"first step done {time.monotonic() - begun:.1f} s after the start")
            if step == last_profiled:
                report()
                jax.profiler.stop_trace()
                say(f"profile of steps {first_profiled} to {last_profiled}: {workdir}/profile")
            due = step % run.evaluation.every_steps == 0 or step == run.training.steps
            if due and not stop:
                report()
                scores = evaluate(step)
            if checkpoints.due(step) or step == run.training.steps or stop:
                save(step, scores if due else {})
            if stop:
                break
        report()
        watchdog.phase("finishing the last save")
        checkpoints.wait()
        if stop:
            say(f"{stop.reason}: saved step {step}; the same command goes on from there")
        else:
            for line in closing_lines(run, programs, inputs, state, compiled.evaluate):
                say(line)
            say(
                f"done in {duration(time.monotonic() - begun)}: {workdir} holds config.json, "
                "metrics.jsonl, model.txt, tensorboard/ and checkpoints/"
            )
    finally:
        feed.close()
        progress.close()
        checkpoints.close()
        writer.close()


class _Compiled:
    """The train and evaluation steps, compiled in the background while the data gets ready.

    Under a batch ramp the other sizes compile when their step comes; in debug mode nothing is
    compiled: the step runs eagerly, and what is not finite is named by its layer.
    """

    def __init__(self, run, programs, debug: bool):
        self._begun, self._programs = time.monotonic(), programs
        self._train, self._evaluate = {}, {}
        if debug:
            from t2t.training.diagnosis import debug_step

            self.train, self.evaluate = debug_step(run, programs), programs.evaluate
            self._pending = []
            return
        size = run.data.batch_size if not run.data.batch_ramp else run.data.batch_ramp[0][1]
        self._pool = concurrent.futures.ThreadPoolExecutor(2)
        self._pending = [self._pool.submit(self._make_train, _abstract(run, programs, size))]
        if run.data.evaluation:
            size = run.data.evaluation_batch_size or run.data.batch_size
            self._pending.append(
                self._pool.submit(self._make_evaluate, _abstract(run, programs, size))
            )

    def _make_train(self, batch):
        program = self._programs.train.lower(self._programs.shapes, batch).compile()
        self._train[batch["targets"].shape] = program
        return program

    def _make_evaluate(self, batch):
        s = self._programs.shapes
        program = self._programs.evaluate.lower(
            s["params"], s["frozen"], s["carry"], batch
        ).compile()
        self._evaluate[batch["targets"].shape] = program
        return program

    def wait(self, stop) -> float:
        """Waits for the background compilation (or a stop); returns how long it took in all."""
        for future in self._pending:
            while not future.done() and not stop:
                concurrent.futures.wait([future], timeout=0.2)
            if stop:
                break
            future.result()
        return time.monotonic() - self._begun

    def train(self, state, batch):
        program = self._train.get(batch["targets"].shape)
        if program is None:
            program = self._make_train(jax.tree.map(_as_shape, batch))
        return program(state, batch)

    def evaluate(self, params, frozen, carry, batch):
        program = self._evaluate.get(batch["targets"].shape)
        if program is None:
            program = self._make_evaluate(jax.tree.map(_as_shape, batch))
        return program(params, frozen, carry, batch)


def _as_shape(x) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def _abstract(run, programs, size: int) -> dict:
    """Returns the shapes of a batch of `size` rows before any data is there."""
    implemented = implementation(run.objective)
    inputs, targets = implemented.lengths(run.objective)
    full = run.data.order != "packed" and implemented.always_full(run.objective)

    def side(length: int) -> dict:
        names = ("tokens",) if full else ("tokens", "segments", "positions")
        return {name: jax.ShapeDtypeStruct((size, length), jnp.int32) for name in names}

    return programs.abstract_batch(
        {
            "encoder": side(inputs),
            "decoder": side(targets),
            "targets": jax.ShapeDtypeStruct((size, targets), jnp.int32),
            "weights": jax.ShapeDtypeStruct((size, targets), jnp.float32),
            "sample": jax.ShapeDtypeStruct((size,), jnp.int32),
        }
    )


def _feed(run, programs, samples, start: int, stop: int) -> Feed:
    return Feed(
        samples,
        start,
        stop,
        lambda x: sharding.batch_sharding(programs.mesh, x),
        run.data.read_ahead,
        run.data.workers,
    )


def batches_of(run, samples) -> int:
    """Returns how many batches of a held-out corpus an evaluation scores."""
    return min(run.evaluation.batches or samples.batches, samples.batches)


def _describe(run, programs, workdir: str, cache: str, say) -> None:
    """Says what runs where, and writes `model.txt`."""
    shapes, axes = programs.shapes["params"], programs.axes["params"]
    layout = jax.tree.map(lambda s: s.sharding, shapes)
    text = model_table(shapes, axes, layout)
    if "://" not in workdir:
        os.makedirs(workdir, exist_ok=True)
    with fsspec.open(f"{workdir}/model.txt", "wt", encoding="utf-8") as file:
        file.write(text)
    device = jax.devices()[0]
    used = ", ".join(f"{a}={s}" for a, s in programs.mesh.shape.items() if s > 1) or "one device"
    say(
        f"{parameter_count(shapes):,} parameters on {programs.mesh.size} x {device.device_kind} "
        f"({used}); run directory {workdir}; compile cache {cache}"
    )
    for name, size in sharding.unsharded(axes, shapes, programs.mesh, programs.model.units)[:5]:
        say(f"not split over the mesh: {name}, {size / 2**20:.0f} MiB on every device")
