from t2t.training.early_stopping import EarlyStopping, Patience


def followed(cfg, values) -> list[int]:
    """The evaluations without gain after each value; kept in a record between them, as a run does."""
    record, found = {}, []
    for step, value in enumerate(values):
        scores = {} if value is None else {cfg.metric: value}
        record = {"patience": list(Patience.of(cfg, record).after(cfg, step * 10, scores))}
        found.append(record["patience"][-1])
    return found


def test_evaluations_without_gain_are_counted_from_the_best():
    cfg = EarlyStopping("eval/a/loss")
    assert followed(cfg, [3.0, 2.0, 2.0, 2.5, 1.9, 2.0]) == [0, 0, 1, 2, 0, 1]
    assert followed(cfg, [3.0, None, 3.5, None]) == [0, 0, 1, 1]


def test_more_may_be_better_and_a_small_gain_none():
    cfg = EarlyStopping("eval/a/accuracy", mode="max", least_gain=0.01)
    assert followed(cfg, [0.5, 0.505, 0.52, 0.51]) == [0, 1, 0, 1]


def test_another_metric_begins_anew():
    old = {"patience": ["eval/a/loss", 1.0, 40, 2]}
    assert Patience.of(EarlyStopping("eval/a/loss"), old).since == 2
    assert Patience.of(EarlyStopping("eval/b/loss"), old) == Patience("eval/b/loss")
