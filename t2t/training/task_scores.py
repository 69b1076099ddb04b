"""Judging tasks while training: the model writes its answers, and a metrics row holds their scores."""

import dataclasses
from collections.abc import Callable, Iterator

from t2t.decoding.decode import make_decoder
from t2t.errors import UserError
from t2t.evaluation.evaluate import evaluate_tasks
from t2t.evaluation.prepared import TRIED, examples_and_metrics, prepare
from t2t.models.partition import join, own
from t2t.objectives.implementations import headed
from t2t.tasks.catalog import find
from t2t.tasks.posing import check_answerable
from t2t.training.faults import StopRequest, Watchdog
from t2t.training.inputs import Inputs
from t2t.training.programs import Programs

COUNTS = ("weight", "invalid", "examples")  # of an evaluation's row: how much was judged
# (state, step, is it judged already) -> (task, its scores), one after the other
Judge = Callable[[dict, int, Callable[[str], bool]], Iterator[tuple[str, dict[str, float]]]]


def check_tasks(run) -> None:
    """Reads the first examples of every task, and tries its metrics on them. Raises UserError naming
    what is not there, and the metric that cannot judge them."""
    settings = run.evaluation.judging
    limit = min(settings.limit or TRIED, TRIED)
    for i, name in enumerate(run.evaluation.tasks):
        try:
            task = find(name)
            _, first, _ = examples_and_metrics(task, dataclasses.replace(settings, limit=limit))
            check_answerable(task.name, first, run.model.stacks, headed(run.objective))
        except UserError as error:
            raise UserError(f"config.evaluation.tasks[{i}]: {error}") from None


def task_judge(
    run, programs: Programs, inputs: Inputs, workdir: str, stop: StopRequest, watchdog: Watchdog
) -> Judge:
    """Returns what judges every task of `evaluation.tasks`; a stop leaves out what is not finished.

    Tasks are read and encoded here, once, and decoding is compiled when it first happens.
    """
    settings = run.evaluation.judging
    tasks = [
        prepare(find(name), settings, inputs.tokenizer, run.model, headed(run.objective))
        for name in run.evaluation.tasks
    ]
    decoder = make_decoder(programs.model, inputs.tokenizer, programs.mesh)

    def judge(state: dict, step: int, judged: Callable[[str], bool]):
        params = join(own(state["frozen"]), state["params"])
        for task in tasks:
            if stop or judged(task.task.name):
                continue
            # Its decoder compiles with the first answers.
            watchdog.phase(f"judging {task.name} after step {step}", fatal=False)
            yield from evaluate_tasks(
                [task],
                decoder,
                params,
                step,
                settings,
                workdir=workdir,
                stop=stop,
                progress=lambda name, step, done, total: watchdog.phase(
                    f"judging {name} after step {step}: {done} of {total}"
                ),
            ).items()

    return judge
