"""The averages of GLUE and SuperGLUE as T5 computes them: of each task's metrics, then of tasks.

MNLI's matched and mismatched sets are one task; WNLI is left out (T5 trains on WSC instead).
"""

from collections.abc import Mapping

GLUE: tuple[tuple[tuple[str, str], ...], ...] = (
    (("glue_cola", "matthews_corrcoef"),),
    (("glue_sst2", "accuracy"),),
    (("glue_mrpc", "f1"), ("glue_mrpc", "accuracy")),
    (("glue_stsb", "pearson_corrcoef"), ("glue_stsb", "spearman_corrcoef")),
    (("glue_qqp", "f1"), ("glue_qqp", "accuracy")),
    (("glue_mnli_matched", "accuracy"), ("glue_mnli_mismatched", "accuracy")),
    (("glue_qnli", "accuracy"),),
    (("glue_rte", "accuracy"),),
)
SUPER_GLUE: tuple[tuple[tuple[str, str], ...], ...] = (
    (("super_glue_boolq", "accuracy"),),
    (("super_glue_cb", "mean_3class_f1"), ("super_glue_cb", "accuracy")),
    (("super_glue_copa", "accuracy"),),
    (("super_glue_multirc", "f1"), ("super_glue_multirc", "exact_match")),
    (("super_glue_record", "f1"), ("super_glue_record", "em")),
    (("super_glue_rte", "accuracy"),),
    (("super_glue_wic", "accuracy"),),
    (("super_glue_wsc", "accuracy"),),
)

# The tasks of each, by the name that stands for all of them.
SUITES: dict[str, tuple[str, ...]] = {
    name: tuple(dict.fromkeys(task for parts in suite for task, _ in parts))
    for name, suite in (("glue", GLUE), ("super_glue", SUPER_GLUE))
}


def averages(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The averages whose tasks were all judged: scores[task][metric] -> {"GLUE": ..., ...}."""
    found = {}
    for name, tasks in (("GLUE", GLUE), ("SuperGLUE", SUPER_GLUE)):
        if all(metric in scores.get(task, {}) for parts in tasks for task, metric in parts):
            means = [sum(scores[t][m] for t, m in parts) / len(parts) for parts in tasks]
            found[name] = sum(means) / len(means)
    return found
