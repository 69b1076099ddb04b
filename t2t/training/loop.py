"""The training loop, from configuration to last checkpoint, top to bottom."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable

import fsspec
import jax

from t2t.data import files
from t2t.data.batches import Samples
from t2t.data.feed import Feed
from t2t.data.order import continue_schedule
from t2t.data.tokenizer_files import keep
from t2t.errors import UserError
from t2t.monitoring import compile_cache
from t2t.monitoring.metrics import MetricWriter, is_remote
from t2t.monitoring.model_table import model_table, parameter_count
from t2t.monitoring.profiler import Profile
from t2t.monitoring.progress import Progress, duration
from t2t.monitoring.report.record import CLOSING
from t2t.parallel import sharding
from t2t.training import heldout, initial
from t2t.training import programs as program_builder
from t2t.training.checkpoints import CheckpointStore, open_checkpoints, steps_in
from t2t.training.compilation import CompiledSteps
from t2t.training.diagnosis import debug_step
from t2t.training.faults import StopRequest, Watchdog, device_failures
from t2t.training.inputs import Inputs, open_inputs
from t2t.training.programs import Programs
from t2t.training.step_metrics import StepMetrics
from t2t.training.summary import closing_lines


def train(run, workdir: str, *, check_vocabulary, record: dict, debug: bool = False) -> None:
    """Trains (or resumes) `run` in `workdir`.

    check_vocabulary(vocabulary) refuses one that does not fit; record goes into every checkpoint.
    debug: run eagerly, and stop at the first value that is not finite, naming its layer.
    Raises: UserError for what was given, Failure for what broke; nothing saved before is lost.
    """
    begun = time.monotonic()
    last = run.training.steps
    # What is opened below is closed in the opposite order, however this ends.
    with contextlib.ExitStack() as opened:
        stop = opened.enter_context(StopRequest().listening())
        watchdog = opened.enter_context(Watchdog(run.training.watchdog_seconds))
        opened.enter_context(device_failures(watchdog))
        progress = opened.enter_context(Progress(last, run.monitoring.progress))
        say = progress.say

        # ------------------------------------------- programs: compiling in the background from here
        cache = compile_cache.enable()
        events = opened.enter_context(compile_cache.CacheEvents())
        programs = program_builder.build(run)
        _describe(run, programs, workdir, cache, say)
        eager = debug_step(run, programs) if debug else None
        steps = opened.enter_context(CompiledSteps(run, programs, eager))

        # -------------------------------------------------------------- inputs: prepared or opened
        watchdog.phase("opening inputs", limited=False)
        clock, inputs = time.monotonic(), None

        def check(vocabulary) -> None:
            check_vocabulary(vocabulary)
            if run.initial is not None and not steps_in(f"{workdir}/checkpoints"):
                initial.check_vocabulary(run.initial, vocabulary)

        with stop.leaving_at_once():
            inputs = open_inputs(run, say, check=check, workdir=workdir)
        if inputs is None:
            say(f"{stop.reason} before the first step: nothing to save")
            return
        data_seconds = time.monotonic() - clock

        # ---------------------------------------------------------------- state: new or restored
        watchdog.phase("restoring or initialising")
        checkpoints = open_checkpoints(f"{workdir}/checkpoints", run.checkpoints)
        opened.callback(checkpoints.close)
        start, state, begun_with = _first_state(run, programs, inputs, checkpoints, workdir, say)
        record = {**record, **begun_with}
        samples = dataclasses.replace(
            inputs.train, pieces=record["batch_pieces"], among=run.training.repeat_samples
        )
        writer = MetricWriter(workdir, start, run.monitoring.tensorboard)
        opened.callback(writer.close)
        feed = opened.enter_context(_feed(run, programs, samples, start, max(start, last)))

        # --------------------------------------------------------------------------- compilation
        watchdog.phase("compiling")
        compile_seconds = steps.wait(stop)
        if stop:
            say(f"{stop.reason} before step {start + 1}: nothing new to save")
            return
        say(
            f"compiled in {compile_seconds:.1f} s ({events.summary()}); data ready in "
            f"{data_seconds:.1f} s, beside it"
        )

        # ------------------------------------------------------------------------------ the loop
        progress.begin(start)
        profile = opened.enter_context(
            Profile(run.monitoring.profile, os.path.join(workdir, "profile"), say)
        )
        metrics = StepMetrics(run, programs.mesh.size, start, writer, progress, feed)

        def evaluate(step: int) -> dict[str, float]:
            """Scores every held-out corpus, once a step; what a stop interrupts writes nothing."""
            found = {}
            for name, samples in inputs.heldout.items():
                if writer.has(step, f"eval/{name}") or stop:
                    continue
                with _feed(run, programs, samples, 0, batches_of(run, samples)) as batches:
                    watched = watchdog.watched(f"evaluating {name} after step {step}", batches)
                    scores = heldout.score(steps.evaluate, state, watched, stop)
                if scores:
                    writer.write(step, f"eval/{name}", scores)
                    found[f"eval/{name}/loss"] = scores["loss"]
                    found[f"eval/{name}/accuracy"] = scores["accuracy"]
                    say(
                        f"step {step:>7}  eval/{name}: loss {scores['loss']:.4f}, "
                        f"accuracy {scores['accuracy']:.4f}"
                    )
            return found

        def evaluation_due(step: int) -> bool:
            return step % run.evaluation.every_steps == 0 or step == last

        if evaluation_due(start):  # step 0 is: before anything is learnt
            with metrics.pause():
                evaluate(start)
        for step in range(start + 1, last + 1):
            watchdog.phase(f"step {step}: waiting for data")
            batch = next(feed)
            profile.before(step, metrics.read)
            watchdog.phase(f"step {step}")
            state, found = steps.train(state, batch)
            metrics.push(step, found, batch["targets"].shape[0])
            if step == start + 1:
                jax.block_until_ready(found)
                say(f"first step done {time.monotonic() - begun:.1f} s after the start")
            profile.after(step, metrics.read)
            scores = {}
            if evaluation_due(step) and not stop:
                with metrics.pause():
                    scores = evaluate(step)
            if checkpoints.due(step) or step == last or stop:
                watchdog.phase(f"saving step {step}")
                with metrics.pause():  # no checkpoint stands for a step whose row is not written
                    writer.flush()
                    checkpoints.save(step, state, record, scores)
            if stop:
                break
        metrics.read()
        watchdog.phase("finishing the last save", limited=False)
        checkpoints.wait()

        # ------------------------------------------------------------------------------- the end
        if stop:
            say(f"{stop.reason}: saved step {step}; the same command goes on from there")
            return
        closing = []
        for line in closing_lines(run, programs, inputs, state, steps.evaluate):
            say(line)
            closing.append(line)
        if closing and jax.process_index() == 0:  # for the report
            files.write_bytes(f"{workdir}/{CLOSING}", "\n".join(closing).encode(errors="replace"))
        board = ", tensorboard/" if run.monitoring.tensorboard else ""
        say(
            f"done in {duration(time.monotonic() - begun)}: {workdir} holds config.json, "
            f"metrics.jsonl, model.txt{board} and checkpoints/"
        )


def _first_state(
    run,
    programs: Programs,
    inputs: Inputs,
    checkpoints: CheckpointStore,
    workdir: str,
    say: Callable,
) -> tuple[int, dict, dict]:
    """Returns (steps done, state, what every checkpoint records of how the run began).

    The state is that of the newest sound checkpoint, or of a new run: drawn at random, or begun with
    the parameters of `run.initial`.
    Raises: UserError where vocabulary or text is no longer what the run began with.
    """
    identity = _identity(inputs)
    if checkpoints.latest_step() is None:
        if os.path.exists(os.path.join(workdir, "metrics.jsonl")):
            say("starting over: no checkpoint was finished before")
        if jax.process_index() == 0:
            keep(inputs.tokenizer, workdir)
        key = program_builder.init_key(run.training.seed)
        record = {**identity, "batch_pieces": run.data.pieces()}
        if run.initial is None:
            return 0, programs.init(key), record
        given, origin = initial.initial_parameters(run.initial, programs.shapes["params"], say)
        return 0, programs.begin(key, given), {**record, "initial": origin}
    start, state, saved = checkpoints.restore(programs.shapes)
    for what, found in identity.items():
        if what in saved and saved[what] != found:
            raise UserError(
                f"{workdir}: the {what} is no longer what the run began with "
                f"({saved[what]} -> {found}); put it back, or give another --workdir"
            )
    say(f"resumed from step {start} of {workdir}")
    pieces = continue_schedule(saved["batch_pieces"], run.data.pieces(), start)
    origin = {"initial": saved["initial"]} if "initial" in saved else {}
    return start, state, {**identity, "batch_pieces": pieces, **origin}


def _identity(inputs: Inputs) -> dict[str, str]:
    """Returns the fingerprints of what must stay the same in a run: vocabulary and training text."""
    texts = zip(inputs.train.names, inputs.train.stores, strict=True)
    return {
        "tokenizer": inputs.tokenizer.vocabulary.fingerprint,
        "training text": ", ".join(f"{name} {store.fingerprint}" for name, store in texts),
    }


def _feed(run, programs: Programs, samples: Samples, start: int, stop: int) -> Feed:
    return Feed(
        samples,
        start,
        stop,
        lambda x: sharding.batch_sharding(programs.mesh, x),
        run.data.read_ahead,
        run.data.workers,
    )


def batches_of(run, samples: Samples) -> int:
    """Returns how many batches of a held-out corpus an evaluation scores."""
    return min(run.evaluation.batches or samples.batches, samples.batches)


def _describe(run, programs: Programs, workdir: str, cache: str, say: Callable) -> None:
    """Says what runs where, and writes `model.txt`."""
    shapes, axes = programs.shapes["params"], programs.axes["params"]
    layout = jax.tree.map(lambda s: s.sharding, shapes)
    if not is_remote(workdir):
        os.makedirs(workdir, exist_ok=True)
    with fsspec.open(f"{workdir}/model.txt", "wt", encoding="utf-8") as file:
        file.write(model_table(shapes, axes, layout))
    device = jax.devices()[0]
    used = ", ".join(f"{a}={s}" for a, s in programs.mesh.shape.items() if s > 1) or "one device"
    say(
        f"{parameter_count(shapes):,} parameters on {programs.mesh.size} x {device.device_kind} "
        f"({used}); run directory {workdir}; compile cache {cache}"
    )
    for name, size in sharding.unsharded(axes, shapes, programs.mesh, programs.model.units)[:5]:
        say(f"not split over the mesh: {name}, {size / 2**20:.0f} MiB on every device")
