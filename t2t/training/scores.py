"""The scores that evaluations while training give: what checkpoints are ranked by, and waited for."""

from t2t.errors import UserError, nearest


def scores_of(run) -> dict[str, str]:
    """Returns every metric that an evaluation while training gives: {name: 'min' or 'max' is best}."""
    found = {}
    for corpus in run.data.evaluation:
        found |= {f"eval/{corpus.name}/loss": "min", f"eval/{corpus.name}/accuracy": "max"}
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
        if metric and metric not in known:
            raise UserError(
                f"config.{key}metric: no evaluation gives {metric!r}{nearest(metric, known)}; "
                f"there are {', '.join(known) or 'none (config.data.evaluation is empty)'}"
            )
        if metric and known[metric] != mode:
            raise UserError(
                f"config.{key}mode: {mode!r} takes the worst {metric} for the best; "
                f"set it to {known[metric]!r}"
            )
