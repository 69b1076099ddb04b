"""Two runs on the same examples, from the predictions that they keep."""

import pytest

from t2t.errors import UserError
from t2t.evaluation.comparison import Judgement, compare, names_in_both
from t2t.evaluation.metrics.catalog import metric
from t2t.evaluation.metrics.metric import Judged
from t2t.evaluation.predictions import PredictionStore
from t2t.evaluation.resampling import paired_test
from t2t.evaluation.side_by_side import side_by_side

TRUTHS = [0, 1, 1, 0, 1, 0, 1, 1, 0, 1] * 4


def keep(workdir, values, name="mine", step=10, truths=TRUTHS, metrics=("accuracy", "f1")):
    lines = [
        {
            "index": i, "id": [i], "input": "", "target": str(t), "prediction": str(v), "truth": t,
            "value": v, "group": [], "classes": 2, "scores": {},
        }
        for i, (t, v) in enumerate(zip(truths, values, strict=True))
    ]  # fmt: skip
    result = {
        "name": name, "step": step, "split": "validation", "metrics": list(metrics),
        "scores": {one: 1.0 for one in metrics}, "intervals": {},
    }  # fmt: skip
    PredictionStore(str(workdir), name, step, "key").finish(lines, result)
    return Judgement(str(workdir))


@pytest.fixture
def runs(tmp_path):
    worse = [t if i % 4 else 1 - t for i, t in enumerate(TRUTHS)]
    return keep(tmp_path / "a", TRUTHS), keep(tmp_path / "b", worse)


def test_the_test_is_that_of_the_kept_predictions(runs):
    assert names_in_both(*runs) == ["mine"]
    ((name, count, found),) = compare(*runs, ["mine"], 100)
    assert (name, count, list(found)) == ("mine", 40, ["accuracy", "f1"])
    assert (found["accuracy"].first, found["accuracy"].second) == (100.0, 75.0)
    accuracy = metric("accuracy", "test")
    rows = [
        accuracy.rows([Judged(t, t if good or i % 4 else 1 - t) for i, t in enumerate(TRUTHS)])
        for good in (True, False)
    ]
    assert found["accuracy"] == paired_test(accuracy, *rows, 100)["accuracy"]
    assert found["accuracy"].p_value < 0.02
    ((_, _, same),) = compare(runs[0], runs[0], ["mine"], 50)
    assert same["f1"].p_value == 1.0


def test_steps_of_one_run_compare_too(runs, tmp_path):
    keep(tmp_path / "a", [1 - t for t in TRUTHS], step=20)
    first, second = Judgement(str(tmp_path / "a"), 10), Judgement(str(tmp_path / "a"))
    ((_, _, found),) = compare(first, second, ["mine"], 50)
    assert (found["accuracy"].first, found["accuracy"].second) == (100.0, 0.0)


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    with pytest.raises(UserError, match="has no predictions of yours; run t2t eval"):
        compare(*runs, ["yours"], 10)
    keep(tmp_path / "c", TRUTHS[:-1], truths=TRUTHS[:-1])
    with pytest.raises(UserError, match="mine: 40 examples in .*a, 39 in .*c; judge both on"):
        compare(runs[0], Judgement(str(tmp_path / "c")), ["mine"], 10)
    other = [*TRUTHS[:-1], 0]
    keep(tmp_path / "d", other, truths=other)
    with pytest.raises(UserError, match="mine: example 39 is another in .*d than in .*a"):
        compare(runs[0], Judgement(str(tmp_path / "d")), ["mine"], 10)
    keep(tmp_path / "e", TRUTHS, metrics=())
    with pytest.raises(UserError, match="the split 'validation' has no labels"):
        compare(Judgement(str(tmp_path / "e")), runs[0], ["mine"], 10)
    with pytest.raises(UserError, match="no task was judged in both .*a: mine; .*e: nothing"):
        names_in_both(runs[0], Judgement(str(tmp_path / "e")))


def test_any_number_stand_side_by_side(runs, tmp_path):
    keep(tmp_path / "c", TRUTHS, name="other")
    three = [*runs, Judgement(str(tmp_path / "c"))]

    def said(_workdir):
        return ("kind",)

    header, rows = side_by_side(three, [], said, ("what",))
    assert header == ("run", "what", "mine accuracy", "mine f1", "other accuracy", "other f1")
    assert [row[1:] for row in rows] == [
        ("kind", "1.00", "1.00", "-", "-"),
        ("kind", "1.00", "1.00", "-", "-"),
        ("kind", "-", "-", "1.00", "1.00"),
    ]
    with pytest.raises(UserError, match="no run was judged on missing"):
        side_by_side(three, ["missing"], said, ("what",))
    keep(tmp_path / "c", [1 - t for t in TRUTHS], truths=[1 - t for t in TRUTHS])
    with pytest.raises(UserError, match="mine: example 0 is another in"):
        side_by_side(three, ["mine"], said, ("what",))
