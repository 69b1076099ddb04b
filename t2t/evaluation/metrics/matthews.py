"""Matthews' correlation coefficient (CoLA, AX-b), times 100, by scikit-learn.

A prediction that is no label is a label of its own (-1), as in T5: the coefficient is then that of
three labels.
"""

import numpy as np

from t2t.evaluation.metrics.metric import Metric, label_pairs, library, pair_counts


def _matthews(rows: np.ndarray) -> dict[str, float]:
    truths, values, counts = pair_counts(rows)
    score = library("sklearn.metrics").matthews_corrcoef(truths, values, sample_weight=counts)
    return {"matthews_corrcoef": 100 * float(score)}


MATTHEWS = Metric(label_pairs, _matthews)
