"""The form of a task that ends in a blank, as seqio's `add_task_with_sentinels` describes it."""

from t2t.tasks.catalog import TASKS, find
from t2t.tasks.labels import UNLABELLED

CB = {"premise": "I doubt he knew.", "hypothesis": "he knew", "label": 1, "idx": 3}


def test_the_input_ends_in_a_blank_and_the_target_fills_it():
    task = find("super_glue_cb_1_sentinel")
    (made,) = task.examples(CB, "train")
    assert task.name == "super_glue_cb_1_sentinel"
    assert made.input == "cb hypothesis: he knew premise: I doubt he knew. <extra_id_0>"
    assert made.target == "<extra_id_0> contradiction"
    assert made.choices[1] == made.target
    assert (made.truth, made.id, made.texts) == (1, (3,), ())
    (hidden,) = task.examples({**CB, "label": -1}, "test")
    assert (hidden.target, hidden.truth) == (UNLABELLED, None)


def test_predictions_are_read_with_and_without_the_sentinel():
    task = find("super_glue_cb_1_sentinel")
    (made,) = task.examples(CB, "train")
    assert task.read("<extra_id_0> neutral", made) == 2
    assert task.read("<extra_id_0>  neutral ", made) == 2
    assert task.read("neutral", made) == 2
    assert task.read(" neutral", made) is None
    assert task.read("<extra_id_0>", made) is None
    wsc = find("super_glue_wsc_1_sentinel")
    record = {"text": "Al saw Bo as he fell .", "span1_text": "Bo", "span2_text": "he"}
    (made,) = wsc.examples({**record, "span2_index": 4, "label": 1}, "validation")
    assert (made.target, made.truth) == ("<extra_id_0> Bo", 1)
    assert [wsc.read(f"<extra_id_0> {one}", made) for one in ("Bo", "Al", "")] == [1, 0, None]


def test_all_else_is_the_tasks_own():
    plain, made = TASKS["super_glue_record"], find("super_glue_record_1_sentinel")
    assert (made.source, made.metrics, made.targets_length) == (
        plain.source,
        plain.metrics,
        plain.targets_length,
    )
