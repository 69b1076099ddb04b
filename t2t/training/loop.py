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
from t2t.models.partition import join
from t2t.monitoring import compile_cache
from t2t.monitoring.goodput import Goodput
from t2t.monitoring.metrics import MetricWriter, is_remote
from t2t.monitoring.model_table import model_table, parameter_count
from t2t.monitoring.profiler import Profile
from t2t.monitoring.progress import Progress, duration
from t2t.monitoring.report.record import CLOSING
from t2t.parallel import sharding
from t2t.parallel.gang import Hosts
from t2t.training import heldout, initial
from t2t.training import programs as program_builder
from t2t.training.checkpoints import open_checkpoints, steps_in
from t2t.training.compilation import CompiledSteps
from t2t.training.diagnosis import debug_step
from t2t.training.early_stopping import Patience
from t2t.training.faults import Watchdog, device_failures, stop_request
from t2t.training.inputs import open_inputs
from t2t.training.programs import Programs
from t2t.training.start import first_state, identity, saved_part
from t2t.training.step_metrics import StepMetrics
from t2t.training.summary import closing_lines
from t2t.training.task_scores import COUNTS, task_judge


def train(
    run, workdir: str, *, hosts: Hosts, check_vocabulary, record: dict, debug: bool = False
) -> str | None:
    """Trains (or resumes) `run` in `workdir`; returns what stopped it before its end, if anything.

    hosts: the processes of the run, each of which calls this with the same arguments.
    check_vocabulary(vocabulary) refuses one that does not fit; record goes into every checkpoint.
    debug: run eagerly, and stop at the first value that is not finite, naming its layer.
    Raises: UserError for what was given, Failure for what broke; nothing saved before is lost.
    """
    begun, begun_at = time.monotonic(), time.time()
    last = run.training.steps
    # What is opened below is closed in the opposite order, however this ends.
    with contextlib.ExitStack() as opened:
        stop = opened.enter_context(stop_request(hosts).listening())
        watchdog = opened.enter_context(Watchdog(run.training.watchdog_seconds, hosts=hosts))
        opened.enter_context(device_failures(watchdog))
        progress = opened.enter_context(Progress(last, run.monitoring.progress, shown=hosts.writes))
        say = progress.say

        # ------------------------------------------- programs: compiling in the background from here
        cache = compile_cache.enable()
        events = opened.enter_context(compile_cache.CacheEvents())
        programs = program_builder.build(run)
        _describe(run, programs, workdir, cache, hosts, say)
        eager = debug_step(run, programs) if debug else None
        steps = opened.enter_context(
            CompiledSteps(
                run,
                programs,
                eager,
                lambda: watchdog.during(f"{watchdog.last}: compiling", fatal=False),
            )
        )

        # -------------------------------------------------------------- inputs: prepared or opened
        watchdog.phase("opening inputs", limited=False)
        clock, inputs = time.monotonic(), None

        def check(vocabulary) -> None:
            check_vocabulary(vocabulary)
            if run.initial is not None and not steps_in(f"{workdir}/checkpoints"):
                initial.check_vocabulary(run.initial, vocabulary)
            if run.teacher is not None:
                initial.check_vocabulary(run.teacher.source, vocabulary)

        with stop.leaving_at_once():
            inputs = open_inputs(run, say, check=check, workdir=workdir)
        if inputs is None:
            steps.abandon()
            say(f"{stop.reason} before the first step: nothing to save")
            return stop.reason
        data_seconds = time.monotonic() - clock
        hosts.agree("inputs and program", {**identity(inputs), "program": steps.fingerprint()})
        judge = task_judge(run, programs, inputs, workdir, stop, watchdog)

        # ---------------------------------------------------------------- state: new or restored
        watchdog.phase("restoring or initialising", fatal=False)
        checkpoints = open_checkpoints(f"{workdir}/checkpoints", run.checkpoints)
        opened.callback(checkpoints.close)
        clock = time.monotonic()
        start, state, begun_with = first_state(run, programs, inputs, checkpoints, workdir, say)
        restore_seconds = time.monotonic() - clock if start else 0.0
        record = {**begun_with, **record}
        stopping = run.training.early_stopping
        samples = dataclasses.replace(
            inputs.train, pieces=record["batch_pieces"], among=run.training.repeat_samples
        )
        writer = MetricWriter(
            workdir, start, run.monitoring.tensorboard, hosts.writes, lambda: hosts.meet("rows")
        )
        opened.callback(writer.close)
        feed = opened.enter_context(_feed(run, programs, samples, start, max(start, last)))

        # --------------------------------------------------------------------------- compilation
        watchdog.phase("compiling", fatal=False)
        clock = time.monotonic()
        compile_seconds = steps.wait(stop)
        hosts.meet("compiled")
        before = {"restoring": restore_seconds, "compiling": time.monotonic() - clock}
        if stop:
            say(f"{stop.reason} before step {start + 1}: nothing new to save")
            return stop.reason
        say(
            f"compiled in {compile_seconds:.1f} s ({events.summary()}); data ready in "
            f"{data_seconds:.1f} s, beside it"
        )

        # ------------------------------------------------------------------------------ the loop
        progress.begin(start)
        profile = opened.enter_context(
            Profile(run.monitoring.profile, os.path.join(workdir, "profile"), say, start)
        )
        metrics = StepMetrics(run, hosts, programs.mesh.size, start, writer, progress, feed)
        goodput = Goodput(workdir, start, begun_at, hosts.writes, before)

        def evaluate(step: int) -> dict[str, float]:
            """Scores held-out corpora and tasks, once a step; what a stop interrupts writes nothing."""
            found = {}

            def keep(name: str, scores: dict[str, float]) -> None:
                writer.write(step, f"eval/{name}", scores)
                defined = {k: v for k, v in scores.items() if v == v}
                found.update({f"eval/{name}/{key}": value for key, value in defined.items()})
                shown = ", ".join(f"{k} {v:.4f}" for k, v in defined.items() if k not in COUNTS)
                say(f"step {step:>7}  eval/{name}: {shown}")

            for name, samples in inputs.heldout.items():
                if writer.has(step, f"eval/{name}") or stop:
                    continue
                with _feed(run, programs, samples, 0, batches_of(run, samples)) as batches:
                    watched = watchdog.watched(f"evaluating {name} after step {step}", batches)
                    scores = heldout.score(steps.evaluate, state, watched, stop)
                if scores:
                    keep(name, scores)
            if run.evaluation.judges_tasks(step, last):
                for name, scores in judge(state, step, lambda n: writer.has(step, f"eval/{n}")):
                    keep(name, scores)
            return found

        def evaluation_due(step: int) -> bool:
            return step % run.evaluation.every_steps == 0 or step == last

        def wait_for_better(step: int, scores: dict[str, float]) -> bool:
            """Notes an evaluation's scores; returns whether early stopping has waited enough."""
            if stopping is None:
                return False
            record["patience"] = Patience.of(stopping, record).after(stopping, step, scores)
            return record["patience"].since >= stopping.patience

        scores, step = {}, start
        if evaluation_due(start):  # step 0 is: before anything is learnt
            with metrics.pause(), goodput.during("evaluating"):
                scores = evaluate(start)
            checkpoints.rank(start, scores)  # a stop may have cut off its evaluation, not its save
        enough = wait_for_better(start, scores)
        for step in range(start + 1, start + 1 if enough or stop else last + 1):
            watchdog.phase(f"step {step}: waiting for data")
            batch = next(feed)
            profile.before(step, metrics.read)
            watchdog.phase(f"step {step}")
            state, found = steps.train(state, batch)
            metrics.push(step, found, batch["targets"].shape[0])
            goodput.seen(metrics.seconds)
            if step == start + 1:
                jax.block_until_ready(found)
                say(f"first step done {time.monotonic() - begun:.1f} s after the start")
            profile.after(step, metrics.read)
            scores = {}
            if evaluation_due(step) and not stop:
                with metrics.pause(), goodput.during("evaluating"):
                    scores = evaluate(step)
            enough = wait_for_better(step, scores)
            leaving = bool(stop) or enough
            if checkpoints.due(step) or step == last or leaving:
                metrics.read()  # a step that hangs does so here; storage may take its time
                watchdog.phase(f"saving step {step}", fatal=False)
                # No checkpoint stands for a step whose row is not written.
                with metrics.pause(), goodput.during("saving"):
                    writer.flush()
                    checkpoints.save(step, saved_part(state), record, scores)
                goodput.saved(step, metrics.seconds)
            if leaving:
                break
        metrics.read()
        watchdog.phase("finishing the last save", limited=False)
        with goodput.during("saving"):
            checkpoints.wait()
        say(goodput.describe())

        # ------------------------------------------------------------------------------- the end
        if stop:  # also where all steps are done, but perhaps not the evaluation after the last
            there = f"saved step {step}" if step > start else f"nothing new since step {step}"
            say(f"{stop.reason}: {there}; the same command goes on from there")
            return stop.reason
        if enough:
            best = record["patience"]
            say(
                f"stopped at step {step}: {best.metric} has not got better than {best.best:.4f} "
                f"of step {best.step} (config.training.early_stopping)"
            )
        closing = []
        for line in closing_lines(run, programs, inputs, state, steps.evaluate):
            say(line)
            closing.append(line)
        if closing and hosts.writes:  # for the report
            files.write_bytes(f"{workdir}/{CLOSING}", "\n".join(closing).encode(errors="replace"))
        board = ", tensorboard/" if run.monitoring.tensorboard else ""
        say(
            f"done in {duration(time.monotonic() - begun)}: {workdir} holds config.json, "
            f"metrics.jsonl, model.txt{board} and checkpoints/"
        )


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


def _describe(
    run, programs: Programs, workdir: str, cache: str, hosts: Hosts, say: Callable
) -> None:
    """Says what runs where, and writes `model.txt`."""
    shapes, trained = programs.parameters, parameter_count(programs.shapes["params"])
    axes = join(programs.axes["params"], programs.axes["frozen"])
    layout = jax.tree.map(lambda s: s.sharding, shapes)
    if hosts.writes:
        if not is_remote(workdir):
            os.makedirs(workdir, exist_ok=True)
        with fsspec.open(f"{workdir}/model.txt", "wt", encoding="utf-8") as file:
            file.write(model_table(shapes, axes, layout))
    device = jax.devices()[0]
    part = f" ({trained:,} of them trained)" if programs.shapes["frozen"] else ""
    used = ", ".join(f"{a}={s}" for a, s in programs.mesh.shape.items() if s > 1) or "one device"
    say(
        f"{parameter_count(shapes):,} parameters{part} on {programs.mesh.size} x {device.device_kind} "
        f"({used}); run directory {workdir}; compile cache {cache}"
    )
    if programs.flags:
        say("compiler flags: " + " ".join(f"{k}={v}" for k, v in programs.flags.items()))
    for name, size in sharding.unsharded(axes, shapes, programs.mesh, programs.model.units)[:5]:
        say(f"not split over the mesh: {name}, {size / 2**20:.0f} MiB on every device")
