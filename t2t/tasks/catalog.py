"""Every task of the benchmark suites by name, an explicit table."""

from t2t.errors import UserError, nearest
from t2t.tasks import (
    boolq,
    glue,
    lambada,
    question_answering,
    rewriting,
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
    """The task of that name. Raises UserError with the nearest one."""
    if name not in TASKS:
        raise UserError(
            f"{name}: no such task{nearest(name, TASKS)}; `t2t tasks` lists them, and a task of "
            "your own is a .toml file"
        )
    return TASKS[name]


def listing() -> list[str]:
    """A line a task: name, suite, splits, lengths, decoding, metrics, sources."""
    rows = [("task", "suite", "splits", "lengths", "decoding", "metrics", "sources")]
    for task in TASKS.values():
        beams = task.decoding.beams
        files = [
            name for layout in task.source.layouts for _, names in layout.files for name in names
        ]
        sources = [f"TFDS {task.source.tfds}"] if task.source.tfds else []
        sources += [f"files such as {files[0]}"] if files else []
        rows.append(
            (
                task.name,
                task.suite,
                ",".join(task.splits),
                f"{task.inputs_length}/{task.targets_length}",
                "greedy" if beams == 1 else f"{beams} beams",
                ",".join(task.metrics),
                "; ".join(sources),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
