"""Metrics of labels and numbers, against scikit-learn, SciPy, T5's published tests, and by hand."""

import fnmatch
import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from t2t.errors import UserError
from t2t.evaluation.metrics.catalog import METRICS, lower_is_better, metric, scores_given
from t2t.evaluation.metrics.metric import Judged


def judge(name: str, truths, values, **common) -> dict[str, float]:
    """The scores of a metric; values are as a task reads them, None for no valid answer."""
    one = metric(name, "test")
    return one.scores(
        one.rows([Judged(t, v, **common) for t, v in zip(truths, values, strict=True)])
    )


def random_labels(classes: int, seed: int):
    """Truths, predictions as read, and the same with T5's -1 for those that are no label."""
    rng = np.random.default_rng(seed)
    truths = rng.integers(0, classes, 60)
    coded = np.where(rng.random(60) < 0.6, truths, rng.integers(-1, classes, 60))
    return truths.tolist(), [None if c < 0 else int(c) for c in coded], coded


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_judged_as_scikit_learn_judges_them(seed):
    truths, values, coded = random_labels(2, seed)
    assert (coded < 0).any()
    opposite = np.where(coded < 0, 1 - np.array(truths), coded)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(truths, coded),
        "f1": sklearn_metrics.f1_score(truths, opposite),
        "matthews_corrcoef": sklearn_metrics.matthews_corrcoef(truths, coded),
    }
    for name, value in expected.items():
        assert judge(name, truths, values) == pytest.approx({name: 100 * value})
    truths, values, coded = random_labels(3, seed)
    macro = sklearn_metrics.fbeta_score(truths, coded, beta=1, labels=range(3), average="macro")
    assert judge("macro_f1", truths, values, classes=3) == pytest.approx(
        {"mean_3class_f1": 100 * macro}
    )


def test_the_values_that_t5_publishes_in_its_own_tests():
    assert judge("accuracy", [0, 0, 2, 1], [0, 1, 2, 1]) == {"accuracy": 75.0}
    assert judge("f1", [0, 1, 1, 0], [0, 1, None, None]) == {"f1": 50.0}
    assert judge("matthews_corrcoef", [0, 0, 2, 1], [0, 1, 2, 1]) == pytest.approx(
        {"matthews_corrcoef": 70.0}
    )
    assert judge("macro_f1", [0, 1, 1, 2], [0, 0, 2, 2], classes=3) == pytest.approx(
        {"mean_3class_f1": 400 / 9}
    )
    assert judge("pearson_corrcoef", [0.0, 2.0], [0.0, 1.0]) == pytest.approx(
        {"pearson_corrcoef": 100.0}
    )
    assert judge("spearman_corrcoef", [0.0, 2.0, 1.0], [0.0, 1.0, 2.0]) == pytest.approx(
        {"spearman_corrcoef": 50.0}
    )
    texts = ["this is a string.", "this is a completely different string."]
    assert judge("sequence_accuracy", texts, [texts[0], texts[0]]) == {"sequence_accuracy": 50.0}


def test_multirc_counts_answers_and_whole_questions():
    """Three questions of two, two and one answers; the first alone is right throughout."""
    one = metric("exact_match", "test")
    truths, values = [1, 0, 1, 0, 1], [1, 0, 1, None, 0]
    judged = [
        Judged(t, v, group=(g,)) for t, v, g in zip(truths, values, [7, 7, 8, 8, 9], strict=True)
    ]
    assert one.scores(one.rows(judged)) == pytest.approx({"exact_match": 100 / 3})
    # Over all answers: 2 right positives, the invalid one is a false positive, one is missed.
    assert judge("f1", truths, values) == pytest.approx({"f1": 100 * 4 / 6})


def test_without_a_group_every_example_is_its_own():
    one = metric("exact_match", "test")
    assert one.scores(one.rows([Judged(1, 1), Judged(1, 0)])) == {"exact_match": 50.0}


def test_nothing_right_and_only_one_label():
    assert judge("f1", [0, 0], [0, 0]) == {"f1": 0.0}  # no positive at all: scikit-learn's 0
    assert judge("f1", [1, 1], [None, None]) == {"f1": 0.0}
    assert judge("matthews_corrcoef", [1, 1, 1], [1, 1, 1]) == {"matthews_corrcoef": 0.0}
    assert judge("accuracy", [0], [None]) == {"accuracy": 0.0}
    # CB's third class, never predicted and never true, still counts in the mean.
    assert judge("macro_f1", [0, 1], [0, 1], classes=3) == pytest.approx(
        {"mean_3class_f1": 200 / 3}
    )


@pytest.mark.parametrize("seed", range(3))
def test_correlations_are_scipys_with_minus_one_for_what_is_no_number(seed):
    rng = np.random.default_rng(seed)
    truths = (rng.integers(0, 26, 40) / 5).tolist()  # many ties
    coded = np.where(rng.random(40) < 0.2, -1.0, rng.integers(0, 26, 40) / 5)
    values = [None if c < 0 else float(c) for c in coded]
    assert judge("pearson_corrcoef", truths, values) == pytest.approx(
        {"pearson_corrcoef": 100 * stats.pearsonr(truths, coded).statistic}
    )
    assert judge("spearman_corrcoef", truths, values) == pytest.approx(
        {"spearman_corrcoef": 100 * stats.spearmanr(truths, coded).statistic}
    )


def test_a_correlation_of_equal_numbers_is_undefined():
    for name in ("pearson_corrcoef", "spearman_corrcoef"):
        assert math.isnan(judge(name, [1.0, 2.0], [3.0, 3.0])[name])
        assert math.isnan(judge(name, [1.0], [1.0])[name])


def test_a_metric_refuses_what_it_cannot_judge():
    with pytest.raises(UserError, match="f1 judges two labels; the task has more"):
        judge("f1", [0, 1, 2], [0, 1, 2])
    with pytest.raises(UserError, match="judges labels; the task has no `choices`"):
        judge("matthews_corrcoef", ["a"], ["a"])
    with pytest.raises(UserError, match="judges numbers; the task is not `numeric`"):
        judge("pearson_corrcoef", ["a", "b"], ["a", "b"])
    with pytest.raises(UserError, match="mine: no metric 'acuracy'.*did you mean 'accuracy'"):
        metric("acuracy", "mine")


def test_a_missing_package_is_asked_for_in_one_line(monkeypatch):
    from importlib import util

    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda n: None if n == "sacrebleu" else found(n))
    with pytest.raises(UserError) as caught:
        metric("bleu", "wmt14_ende")
    assert str(caught.value) == (
        "wmt14_ende: the metric bleu needs the package sacrebleu; "
        "install the extra: pip install -e '.[eval]' in t2t's clone"
    )
    metric("f1", "test")


def test_perplexity_and_bits_a_byte_by_hand():
    """Targets of 2 and 3 tokens at 1/2 and 1/8 a token; 4 and 2 bytes ("é" has two)."""
    judged = [
        Judged("abcd", None, target="abcd", log_likelihood=-2 * math.log(2), tokens=2),
        Judged("é", None, target="é", log_likelihood=-3 * math.log(8), tokens=3),
    ]
    of = {name: metric(name, "test") for name in ("perplexity", "bits_per_byte")}
    assert of["perplexity"].scores(of["perplexity"].rows(judged)) == pytest.approx(
        {"perplexity": 2 ** (11 / 5)}
    )
    assert of["bits_per_byte"].scores(of["bits_per_byte"].rows(judged)) == pytest.approx(
        {"bits_per_byte": 11 / 6}
    )
    hopeless = [Judged("", None, target="", log_likelihood=-1e9, tokens=1)]
    assert math.isfinite(of["perplexity"].scores(of["perplexity"].rows(hopeless))["perplexity"])
    assert math.isnan(
        of["bits_per_byte"].scores(of["bits_per_byte"].rows(hopeless))["bits_per_byte"]
    )


def test_every_metric_gives_the_scores_that_it_says():
    for name, one in METRICS.items():
        number = name in ("pearson_corrcoef", "spearman_corrcoef")
        text = name in (
            "squad",
            "squad_v2",
            "trivia_qa",
            "record",
            "bleu",
            "rouge",
            "edit_distance",
        )
        truths = [1.0, 2.0] if number else ["a b", "c"] if text else [0, 1]
        judged = [
            Judged(t, t, classes=2, target="x", log_likelihood=-1.0, tokens=1) for t in truths
        ]
        for score in one.scores(one.rows(judged)):
            assert any(fnmatch.fnmatch(score, own) for own in scores_given((name,))), (name, score)
            assert lower_is_better(score) == one.lower
    assert scores_given(("accuracy", "f1")) == ["accuracy", "f1"]
    assert scores_given(("mine.py:anything",)) == ["*"]
