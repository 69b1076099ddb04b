"""A task as training data: the `Task` source of a corpus, opened."""

from collections.abc import Iterator

from t2t.data import pairs, source_config
from t2t.data.answer_marks import answered
from t2t.errors import UserError
from t2t.models.architecture import ENCODER, ENCODER_DECODER
from t2t.objectives.classes_config import Classes
from t2t.objectives.extractive_config import ExtractiveSpans
from t2t.tasks import catalog, own_task
from t2t.tasks.examples import examples
from t2t.tasks.posing import check_answerable
from t2t.tasks.task import Example, Task


def task_of(source: source_config.Task) -> Task:
    """The task a source names or describes. Raises UserError where there is none of that name."""
    return own_task.task_of(source.own, "own") if source.own else catalog.find(source.name)


def check(
    source: source_config.Task,
    stacks: str = ENCODER_DECODER,
    head: ExtractiveSpans | Classes | None = None,
) -> None:
    """Reads a first example. Raises UserError for a task, split or file that is not there, or a task
    that a model of these stacks, or with this `head`, cannot answer."""
    task = task_of(source)
    first = next(_labelled(task, source), None)
    if first is None:
        raise UserError(f"{_named(task, source)}: holds no example")
    check_answerable(task.name, (first,), stacks, head, exactly=True)


def open_pairs(source: source_config.Task, before: str = "", plain: bool = False) -> pairs.Pairs:
    """The pairs of a task's split, read once to know them again; `before` stands before each target.

    plain: of the one or two plain texts of each example in the place of its input.
    Raises UserError naming what is not there, or file, line and field of a record that is wrong.
    """
    task = task_of(source)

    def read() -> Iterator[tuple[str, ...]]:
        for one in _labelled(task, source):
            yield *((plain and one.texts) or (one.input,)), before + one.target

    return pairs.of(_named(task, source), read)


def open_readings(source: source_config.Task) -> pairs.Pairs:
    """The questions of a task's split and their contexts, which know where the answer stands.

    A question whose answer its context does not hold is left out (as run_squad.py does), one that has
    none stays.
    Raises UserError as `open_pairs`, and for a task whose answers are no parts of a context.
    """
    task = task_of(source)

    def read() -> Iterator[tuple[str, str]]:
        for one in _labelled(task, source):
            check_answerable(task.name, (one,), ENCODER, ExtractiveSpans())
            reading = one.reading
            if reading.answer is not None or reading.unanswerable:
                yield reading.question, answered(reading.context, reading.answer or (0, 0))

    return pairs.of(_named(task, source), read, answered=True)


def _named(task: Task, source: source_config.Task) -> str:
    return f"{task.name} ({source.split})"


def _labelled(task: Task, source: source_config.Task) -> Iterator[Example]:
    found = examples(task, source.split, source.data, source.limit)
    for number, example in enumerate(found):
        if example.truth is None:
            others = ", ".join(split for split in task.splits if split != source.split)
            raise UserError(
                f"{_named(task, source)}: example {number} has no target, its split is not "
                f"labelled; name another (the task has {others or 'none'})"
            )
        yield example
