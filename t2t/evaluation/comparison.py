"""Two runs on the same examples: is the difference more than chance?"""

from collections.abc import Sequence

from t2t.errors import UserError
from t2t.evaluation.evaluate import judged
from t2t.evaluation.metrics.catalog import metric
from t2t.evaluation.predictions import FOLDER, newest, read_lines
from t2t.evaluation.resampling import Difference, paired_test
from t2t.tasks.task import Task


def compare(
    first: str, second: str, tasks: Sequence[Task], resamples: int
) -> list[tuple[str, int, dict[str, Difference]]]:
    """Tests each task's newest predictions of two runs: (task, examples, {metric: difference}).

    Raises UserError where a run has none, or they are not of the same examples.
    """
    found = []
    for task in tasks:
        results = [newest(run, task.name) for run in (first, second)]
        if results[0]["data"] != results[1]["data"]:
            raise UserError(
                f"{task.name}: {first} and {second} were judged on other examples or prompts "
                f"(data {results[0]['data']} and {results[1]['data']}); run both with the same "
                "--split, --limit, --shots and --data"
            )
        lines = [
            read_lines(f"{run}/{FOLDER}/{task.name}/{result['step']}.jsonl")
            for run, result in zip((first, second), results, strict=True)
        ]
        if any(line["truth"] is None for line in lines[0]):
            raise UserError(f"{task.name}: the split {results[0]['split']!r} has no labels")
        differences: dict[str, Difference] = {}
        for name in task.metrics:
            judge = metric(name, task.name)
            one, other = (judge.rows(judged(own)) for own in lines)
            differences |= paired_test(judge, one, other, resamples)
        found.append((task.name, len(lines[0]), differences))
    return found
