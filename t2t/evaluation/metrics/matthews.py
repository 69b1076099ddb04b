"""Matthews' correlation coefficient (CoLA, AX-b), times 100, by scikit-learn.

A prediction that is no label is a label of its own (-1), as in T5: the coefficient is then that of
three labels.
"""

import warnings

import numpy as np

from t2t.evaluation.metrics.metric import Metric, label_pairs, pair_counts


def _matthews(rows: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import matthews_corrcoef

    truths, values, counts = pair_counts(rows)
    with warnings.catch_warnings(action="ignore"):  # one label throughout: 0, which is meant
        score = matthews_corrcoef(truths, values, sample_weight=counts)
    return {"matthews_corrcoef": 100 * float(score)}


MATTHEWS = Metric(label_pairs, _matthews, ("matthews_corrcoef",), packages=("sklearn",))
