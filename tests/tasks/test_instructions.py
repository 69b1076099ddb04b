"""Tasks in plain English: every wording tells everything, answers are read, tasks keep their sizes."""

import pytest

from t2t.data.own_task_config import columns
from t2t.errors import UserError
from t2t.tasks.catalog import TASKS, find
from t2t.tasks.examples import examples
from t2t.tasks.instructions import INSTRUCTIONS, WORDINGS
from t2t.tasks.labels import UNLABELLED
from tests.tasks import published

RTE = {"sentence1": "He ran.", "sentence2": "He moved.", "label": 0, "idx": 7}


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_every_wording_shows_what_the_first_shows_and_no_other_word(name):
    templates, answers = INSTRUCTIONS[name]
    assert len(set(templates)) == len(templates) == WORDINGS
    shown = [set(columns(one, name)) - {"options"} for one in templates]
    assert shown[0] and all(one == shown[0] for one in shown)
    assert len(answers) == len(TASKS[name].labels) == len(set(answers))
    if answers:  # what is to be answered is said in some of them
        assert any("options" in columns(one, name) for one in templates)


def test_training_examples_stand_in_all_wordings_others_in_the_first():
    task = find("glue_rte_instructed")
    made = list(task.examples(RTE, "train"))
    assert len({one.input for one in made}) == len(made) == WORDINGS
    assert {(one.target, one.truth, one.id) for one in made} == {("yes", 0, (7,))}
    assert not any(one.texts for one in made)  # they are shown in these words, to whatever model
    (held,) = task.examples(RTE, "validation")
    assert held.input == "He ran.\nDoes it follow that He moved.\nOptions: yes or no."
    assert task.read("no", held) == 1 and task.read("not_entailment", held) is None
    assert (task.name, task.labels) == ("glue_rte_instructed", ("yes", "no"))
    (hidden,) = task.examples({**RTE, "label": -1}, "test")
    assert (hidden.target, hidden.truth) == (UNLABELLED, None)


def test_answers_agree_with_the_tasks_own(tmp_path):
    """Of every task whose published files the tests write, in order of its labels."""
    data = str(published.write(tmp_path))
    seen = 0
    for name in INSTRUCTIONS:
        try:
            plain = list(examples(TASKS[name], "train", data))
        except UserError:  # no such files here
            continue
        posed = list(examples(find(name + "_instructed"), "train", data))
        assert len(posed) == WORDINGS * len(plain)
        for number, one in enumerate(posed):
            own = plain[number // WORDINGS]
            assert (one.truth, one.id) == (own.truth, own.id)
            if own.choices:
                assert one.choices.index(one.target) == own.choices.index(own.target)
            else:
                assert one.target == own.target
        seen += 1
    assert seen >= 10


def test_a_task_without_instructions_is_told():
    with pytest.raises(UserError, match="lambada_instructed: no such task"):
        find("lambada_instructed")
