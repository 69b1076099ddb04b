"""Every task's text, letter by letter, as something else wrote it.

golden.jsonl holds records of our own making under TFDS's names and what T5's preprocessors (those that
its `tasks.py` and `glue_utils.py` name for the task, at commit e081111, run by TensorFlow 2.21, labels
named by TFDS 4.9.10) made of each. What T5 has no form for is worked by hand.
"""

import json
import pathlib

import pytest

from t2t.tasks.catalog import TASKS

CASES = [
    json.loads(line)
    for line in (pathlib.Path(__file__).parent / "golden.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{number}-{case['task']}" for number, case in enumerate(CASES)]
)
def test_the_text_is_t5s(case):
    task = TASKS[case["task"]]
    made = [(e.input, e.target) for e in task.examples(case["record"], case["split"])]
    if case["split"] != "train" and case["task"] == "super_glue_record":
        assert len(made) == 1  # one example a query is judged
    assert made == [tuple(pair) for pair in case["expected"]]


PASSAGE = {"passage": "Mara packed the tent, the stove and, last of all, her lamp"}
BY_HAND = [
    (
        "boolq",
        {"question": "is tea a fruit", "passage": "Tea -- Tea is a drink.", "label": False},
        [("boolq passage: Tea -- Tea is a drink. question: is tea a fruit", "False")],
    ),
    (
        "squad_v2",
        {"id": "a", "question": "Who ran?", "context": "Tea's hot.", "answers/text": []},
        [("question: Who ran ? context: Tea ' s hot . ", "unanswerable")],
    ),
    (
        "lambada",
        PASSAGE,
        [("Mara packed the tent, the stove and, last of all, her", "lamp")],
    ),
    (
        "lambada_blank",
        PASSAGE,
        [
            (
                "Mara packed the tent, the stove and, last of all, her <extra_id_0>",
                "<extra_id_0> lamp",
            )
        ],
    ),
    (
        "wikisplit",
        {"sentence": "It rained , so we left .", "sentences": "It rained . <::::> So we left ."},
        [("split: It rained , so we left .", "It rained . So we left .")],
    ),
    (
        "trivia_qa_open",
        {
            "question": "Which river runs through Köln?",
            "question_id": "tc_1",
            "answer/value": "The Rhine",
            "answer/aliases": ["The Rhine", "Rhein"],
        },
        [("trivia_qa question: Which river runs through Köln?", "The Rhine")],
    ),
    (
        "sst2_sentences",
        {"sentence": "a slow , warm film", "label": "1"},
        [("sst2 sentence: a slow , warm film", "positive")],
    ),
]


@pytest.mark.parametrize(("name", "record", "expected"), BY_HAND, ids=[c[0] for c in BY_HAND])
def test_the_text_of_tasks_that_t5_has_not(name, record, expected):
    assert [(e.input, e.target) for e in TASKS[name].examples(record, "test")] == expected


def test_every_task_has_a_golden_example():
    assert {case["task"] for case in CASES} | {name for name, _, _ in BY_HAND} == set(TASKS)


def one(name: str, record: dict, split: str = "validation"):
    (example,) = TASKS[name].examples(record, split)
    return example


def test_truths_groups_and_choices_are_what_metrics_need():
    by_task = {}
    for case in CASES:
        for example in TASKS[case["task"]].examples(case["record"], case["split"]):
            by_task.setdefault(case["task"], []).append(example)
    assert {e.truth for e in by_task["super_glue_cb"]} == {0, 1, 2, None}
    assert by_task["glue_mnli"][0].choices == ("entailment", "neutral", "contradiction")
    # T5 judges what it can write: the rounded number.
    assert [e.truth for e in by_task["glue_stsb"][:5]] == [0.0, 0.0, 0.2, 0.4, 0.4]
    multirc = by_task["super_glue_multirc"]
    assert [e.id for e in multirc] == [(4, 11, 31), (4, 11, 30)]
    assert {e.group for e in multirc} == {(11,)}
    record = by_task["super_glue_record"]
    assert [e.truth for e in record] == [("Oslo", "Town Hall")] * 2 + [None]
    assert {e.group for e in record} == {(5, 9)}
    # WSC's truth is whether the noun is the pronoun's, the noun being the target either way.
    assert [(e.target, e.truth) for e in by_task["super_glue_wsc"]][-2:] == [
        ("Clara", 1),
        ("Ruth", 0),
    ]
    assert by_task["squad"][0].truth == ("Jane Austen ( 1775 - 1817 ) ", "Austen")
    assert by_task["dpr"][0].truth == "the men"


def test_record_gives_an_example_an_answer_in_training_and_one_a_query_when_judged():
    record = next(c["record"] for c in CASES if c["task"] == "super_glue_record")
    record = {**record, "answers": ["Oslo", "Town Hall"]}
    task = TASKS["super_glue_record"]
    assert [e.target for e in task.examples(record, "train")] == ["Oslo", "Town Hall"]
    (example,) = task.examples(record, "validation")
    assert (example.target, example.truth) == ("Oslo", ("Oslo", "Town Hall"))


def test_a_long_trivia_context_is_cut_around_the_answer():
    words = [f"w{n}" for n in range(2000)]
    for place in (0, 3, 700, 1998):
        text = " ".join([*words[:place], "the", "Rhine", *words[place + 2 :]])
        record = {
            "question": "Which river?",
            "answer/normalized_aliases": ["rhine", "rhein"],
            "entity_pages/wiki_context": [text, "no answer here"],
        }
        starts = set()
        for number in range(20):
            made = one("trivia_qa", {**record, "question_id": f"q{number}"})
            shown = made.input.removeprefix("question: Which river ? context: ").split()
            assert len(shown) == 330
            assert "Rhine" in shown
            assert " ".join(shown) in text
            starts.add(text.index(" ".join(shown)))
            assert (made.target, made.truth) == ("rhine", ("rhine", "rhein"))
        assert len(starts) > 10 if place == 700 else starts, "the answer stands anywhere"
