"""The scores that evaluations while training give: what checkpoints are ranked by, and waited for."""

import fnmatch

from t2t.errors import UserError, nearest


def scores_of(run) -> dict[str, str]:
    """Returns the metrics that an evaluation while training gives: {name: 'min' or 'max' is best}.

    A task's may be patterns: `eval/TASK/*` of a function of the user's, and '' is best: it may be
    either.
    Raises: UserError for a task that is not there, or has the name of a held-out corpus.
    """
    found = {}
    for corpus in run.data.evaluation:
        found |= {f"eval/{corpus.name}/loss": "min", f"eval/{corpus.name}/accuracy": "max"}
    if not run.evaluation.tasks:
        return found
    from t2t.evaluation.metrics.catalog import lower_is_better, scores_given
    from t2t.tasks.catalog import find

    for i, name in enumerate(run.evaluation.tasks):
        try:
            task = find(name)
        except UserError as error:
            raise UserError(f"config.evaluation.tasks[{i}]: {error}") from None
        if any(corpus.name == task.name for corpus in run.data.evaluation):
            raise UserError(
                f"config.evaluation.tasks[{i}]: {task.name!r} is also a corpus of "
                "config.data.evaluation, and both would write eval/" + task.name
            )
        for score in scores_given(task.metrics):
            best = "" if score == "*" else "min" if lower_is_better(score) else "max"
            found[f"eval/{task.name}/{score}"] = best
    return found


def check_metrics(run) -> None:
    """Checks that what checkpoints are ranked by, and waited for, is given and rightly understood.

    Raises: UserError naming the field and the metrics there are.
    """
    stopping, known = run.training.early_stopping, scores_of(run)
    asked = [("checkpoints.best_", run.checkpoints.best_metric, run.checkpoints.best_mode)]
    if stopping is not None:
        asked.append(("training.early_stopping.", stopping.metric, stopping.mode))
    for key, metric, mode in asked:
        fitting = [name for name in known if fnmatch.fnmatchcase(metric, name)]
        best = [known[name] for name in fitting if name == metric or metric not in known]
        if metric and not best:
            raise UserError(
                f"config.{key}metric: no evaluation gives {metric!r}{nearest(metric, known)}; "
                f"there are {', '.join(known) or 'none (config.data.evaluation is empty)'}"
            )
        if metric and mode not in best and "" not in best:
            raise UserError(
                f"config.{key}mode: {mode!r} takes the worst {metric} for the best; "
                f"set it to {best[0]!r}"
            )
