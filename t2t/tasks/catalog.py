"""Every task of the benchmark suites by name, an explicit table."""

from t2t.errors import UserError, nearest
from t2t.tasks import (
    boolq,
    glue,
    instructions,
    lambada,
    own_task,
    question_answering,
    rewriting,
    sentinels,
    summarization,
    super_glue,
    translation,
)
from t2t.tasks.task import Task

TASKS: dict[str, Task] = {
    task.name: task
    for suite in (
        glue,
        super_glue,
        question_answering,
        boolq,
        summarization,
        translation,
        lambada,
        rewriting,
    )
    for task in suite.TASKS
}


def find(name: str) -> Task:
    """The task of that name, or of that `.toml` file.

    NAME_1_sentinel is it with a blank to fill, NAME_instructed as an instruction in plain English.

    Raises UserError with the nearest name.
    """
    if name.endswith(".toml"):
        return own_task.load_task(name)
    plain = name.removesuffix(sentinels.SUFFIX)
    if plain in TASKS and plain != name:
        return sentinels.with_sentinel(TASKS[plain])
    plain = name.removesuffix(instructions.SUFFIX)
    if plain in instructions.INSTRUCTIONS and plain != name:
        return instructions.instructed(TASKS[plain])
    if name not in TASKS:
        raise UserError(
            f"{name}: no such task{nearest(name, TASKS)}; `t2t tasks` lists them, and a task of "
            "your own is a .toml file"
        )
    return TASKS[name]
