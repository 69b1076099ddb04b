"""Any number of runs, of any families, side by side: a row a run, a column a score of a task."""

from collections.abc import Callable, Sequence

from t2t.errors import UserError
from t2t.evaluation.comparison import Judgement, check_same, lines_of
from t2t.evaluation.judgement import Result
from t2t.evaluation.predictions import results

NONE = "-"


def side_by_side(
    runs: Sequence[Judgement],
    names: Sequence[str],
    describe: Callable[[str], tuple[str, ...]],
    described: Sequence[str],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns (header, rows) of the newest scores of each run, or of its step, with their intervals.

    names: of predictions, TASK[.SPLIT][.VARIANT]; none: all that any of the runs was judged on.
    describe(workdir) says what a run is, under the heads `described`. A task that a run was not judged
    on is a dash. Raises UserError where runs were judged on different examples, or none on a task.
    """
    found = [_newest(run) for run in runs]
    names = names or sorted(set().union(*found))
    if not names:
        every = ", ".join(run.workdir for run in runs)
        raise UserError(f"{every}: none was judged on a task; run t2t eval there first")
    for name in names:
        judged = [(r, f[name]) for r, f in zip(runs, found, strict=True) if name in f]
        if not judged:
            raise UserError(f"--tasks: no run was judged on {name}; run t2t eval first")
        first, *others = [(run, lines_of(run, result)) for run, result in judged]
        for other in others:
            check_same(name, first[0], other[0], first[1], other[1])
    columns = [
        (name, score)
        for name in names
        for score in dict.fromkeys(s for f in found if name in f for s in f[name]["scores"])
    ]
    header = ("run", *described, *(f"{name} {score}" for name, score in columns))
    rows = []
    for run, of in zip(runs, found, strict=True):
        step = "" if run.step is None else f"@{run.step}"
        cells = [_cell(of.get(name), score) for name, score in columns]
        rows.append((f"{run.workdir}{step}", *describe(run.workdir), *cells))
    return header, rows


def _newest(run: Judgement) -> dict[str, Result]:
    """The result of each name, of the newest step that was judged or of the run's."""
    found: dict[str, Result] = {}
    for result in results(run.workdir):  # by name and step
        if result["scores"] and run.step in (None, result["step"]):
            found[result["name"]] = result
    return found


def _cell(result: Result | None, score: str) -> str:
    """`91.28 (89.33 to 93.12)`."""
    value = None if result is None else result["scores"].get(score)
    if value is None:
        return NONE
    low, high = result["intervals"].get(score, (None, None))
    between = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
    return f"{value:.2f}{between}"
