"""The one or two texts of an example as published: in BERT's order, and of a user's own task."""

import pytest

from t2t.data.own_task_config import OwnTask
from t2t.data.source_config import Task
from t2t.errors import UserError
from t2t.tasks.catalog import TASKS
from t2t.tasks.examples import examples
from t2t.tasks.own_task import task_of
from t2t.tasks.pairs import open_pairs
from tests.tasks import published

SHOWN = {
    "glue_mnli": ("It snows.", "It is hot."),
    "glue_qnli": ("When?", "In May."),
    "glue_rte": ("He ran.", "He sat."),
    "glue_ax": ("The cat sat.", "The cat stood."),
    "super_glue_rte": ("He ran.", "He moved."),
    "super_glue_cb": ("I doubt he knew.", "he knew"),
    "super_glue_axb": ("Nobody came.", "Ann came."),
    "super_glue_boolq": ("is tea a drink", "Tea -- Tea is a drink."),
    "super_glue_wic": ("run : She runs.", "run : A run of luck."),
    "super_glue_multirc": (
        "Sent 1: Ida went to sea. She came home in May. ",
        "When did Ida come home? In May",
    ),
    "super_glue_copa": (),
    "super_glue_wsc": (),
}
PAIRED = {"mrpc", "qqp", "mnli", "mnli_matched", "mnli_mismatched", "qnli", "rte", "wnli", "ax"}
PAIRED = {f"glue_{name}" for name in PAIRED} | {"boolq"}
PAIRED |= {f"super_glue_{n}" for n in ("rte", "cb", "boolq", "axb", "axg", "multirc", "wic")}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return published.write(tmp_path_factory.mktemp("data"))


def test_premises_and_questions_are_the_first(data):
    for name, texts in SHOWN.items():
        split = "validation_mismatched" if name == "glue_mnli" else TASKS[name].judged
        assert next(examples(TASKS[name], split, data)).texts == texts, name


def test_all_examples_of_a_task_have_as_many(data):
    for name, task in TASKS.items():
        if not task.labels:
            continue
        due = 2 if name in PAIRED else 0 if name == "super_glue_copa" else 1
        for split in task.splits:
            try:
                found = list(examples(task, split, data))
            except UserError:  # not in the folder
                continue
            assert {len(one.texts) for one in found} <= {due}, name


def test_pairs_are_opened_as_what_the_classifier_reads(data):
    folder = {"split": "validation", "data": data}
    opened = open_pairs(Task("glue_rte", **folder), " ", plain=True)
    assert list(opened.texts()) == ["He ran.", "He sat.", " not_entailment"] and opened.width == 3
    posed = open_pairs(Task("glue_rte", **folder), " ")
    assert next(posed.texts()).startswith("rte sentence1: ") and posed.width == 2
    assert opened.fingerprint != posed.fingerprint
    opened = open_pairs(Task("super_glue_copa", **folder), plain=True)
    assert next(opened.texts()).startswith("copa choice1: ") and opened.width == 2


OWN = {"name": "nli", "input": "{a}, then {b}", "target": "{l}", "choices": ("no", "yes")}


def test_a_task_of_ones_own_names_them(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,l\nIt rains.,It is wet.,yes\n")
    own = OwnTask(**OWN, train=str(tmp_path / "a.csv"), texts=("{a}", "so: {b}"))
    (made,) = examples(task_of(own, "task"), "train")
    assert made.texts == ("It rains.", "so: It is wet.")
    assert made.input == "It rains., then It is wet."
    for texts, named in (
        (("{a}", "{b}", "{l}"), r"task\.texts: are one or two templates, of a task with choices"),
        (("{a}", "b"), r"task\.texts\[1\]: 'b' names no column; write {name}"),
    ):
        with pytest.raises(UserError, match=named):
            OwnTask(**OWN, train="a.csv", texts=texts).check("task")
    free = {**OWN, "choices": ()}
    with pytest.raises(UserError, match=r"task\.texts: are one or two"):
        OwnTask(**free, train="a.csv", texts=("{a}",)).check("task")
