"""What predictions are read as; texts that are no valid answer are None."""

import math

import pytest

from t2t.tasks.catalog import TASKS
from t2t.tasks.labels import label_number
from t2t.tasks.task import Example


def read(task: str, prediction: str, target: str = "", choices: tuple = ()):
    return TASKS[task].read(prediction, Example("", target, choices=choices))


def test_labels_must_be_matched_exactly():
    names = ("entailment", "neutral", "contradiction")
    assert [read("glue_mnli", name, choices=names) for name in names] == [0, 1, 2]
    for wrong in ("Neutral", "neutral ", "neutral.", "not neutral", "", "1"):
        assert read("glue_mnli", wrong, choices=names) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3.4", 3.4),
        ("5", 5.0),
        ("-1", -1.0),
        (" 2.0 ", 2.0),
        ("3,4", None),
        ("three", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1.0.0", None),
    ],
)
def test_numbers(text, number):
    made = read("glue_stsb", text)
    assert made is None if number is None else math.isclose(made, number)


# T5's rule, its own cases reworded: (prediction, referent, what is read).
REFERENTS = [
    ("carrot", "onion", 0),
    ("onion", "onion", 1),
    ("Onion", "onion", 1),
    ("the dog", "dog", 1),
    ("a dog", "my dog", 1),
    ("Ann's coat", "Ann", 0),
    ("Ann", "Ann's coat", 0),
    ("Ann's coat", "Ann's coat", 1),
    ("brown dog", "brown old dog", 1),
    ("brown old dog", "dog", 1),
    ("brown cat", "brown dog", 0),
    ("  the dog  ", "The dog", 1),
    ("", "dog", None),
    ("the", "dog", None),
    ("this a", "dog", None),
]


@pytest.mark.parametrize(("prediction", "referent", "value"), REFERENTS)
@pytest.mark.parametrize("task", ["super_glue_wsc", "glue_wnli_simple"])
def test_referents(task, prediction, referent, value):
    assert read(task, prediction, target=referent) == value


def test_texts_are_taken_as_they_stand():
    for task in ("squad", "trivia_qa", "super_glue_record", "cnn_dailymail", "wmt14_ende", "dpr"):
        assert read(task, " as it is. ") == " as it is. "


def test_lambada_takes_the_first_word():
    assert read("lambada", "lamp and more") == "lamp"
    assert read("lambada_blank", "<extra_id_0> lamp <extra_id_1> x") == "lamp"
    assert read("lambada_blank", "<extra_id_0>") is None
    assert read("lambada", "  ") is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("True", 1),
        ("true", 1),
        (True, 1),
        (False, 0),
        (1, 1),
        ("0", 0),
        (-1, None),
        ("-1", None),
        (None, None),
        ("", None),
    ],
)
def test_published_labels(value, number):
    assert label_number(value, ("False", "True")) == number


@pytest.mark.parametrize("value", [2, "2", "maybe", 0.5, "-2", [1]])
def test_labels_that_are_none_are_refused(value):
    with pytest.raises(ValueError, match="'label'.*False, True"):
        label_number(value, ("False", "True"))
