"""Texts and their labels for a classifier: worked by hand, packed and one a row; what it cannot be."""

import dataclasses

import jax
import numpy as np
import pytest

from t2t.errors import UserError
from t2t.models.architecture import ENCODER
from t2t.objectives.classes import with_labels
from t2t.objectives.classes_config import Classes, Classified
from t2t.objectives.config import Cloze, Objective, TextToText
from t2t.objectives.implementations import batch_shapes, implementation, posed
from t2t.schema import from_json
from tests.objectives.test_posed_pairs import VOCABULARY
from tests.objectives.test_text_to_text import INPUTS, TARGETS, TOKENS, assert_is

LABELS = ("good", "very bad")
SPELLED = [np.array([20], np.int32), np.array([40, 41], np.int32)]
KNOWN = with_labels(VOCABULARY, LABELS, SPELLED)


# A second text of the second example alone, the two tokens before its first.
SECONDS = np.array([0, 5]), np.array([-1, 2])


def batch_of(cfg, examples_in_row, vocabulary=KNOWN, inputs=INPUTS, **seconds):
    given = (cfg, vocabulary, TOKENS, inputs, TARGETS, np.array(examples_in_row))
    return implementation(cfg).make_pairs_batch(*given, **seconds)


def test_a_label_stands_at_each_cls():
    assert_is(
        batch_of(Classified(LABELS, 32), [2, 0]),
        {
            "encoder/tokens": [
                [6, 10, 11, 12, 7, 6, 30, 31, 32, 33, 7, *[0] * 21],
                [0] * 32,
            ],
            "encoder/segments": [[1] * 5 + [2] * 6 + [0] * 21, [0] * 32],
            "encoder/positions": [[*range(5), *range(6), *[0] * 21], [0] * 32],
            "summaries/": [[0, 5], [0, 0]],
            "targets/": [[0, 1], [0, 0]],
            "weights/": [[1, 1], [0, 0]],
        },
    )


def test_xlnets_stands_last_and_is_of_a_type_of_its_own():
    assert_is(
        batch_of(Classified(LABELS, 12, last=True), [1, 1]),
        {
            "encoder/tokens": [[10, 11, 12, 7, 6, *[0] * 7], [30, 31, 32, 33, 7, 6, *[0] * 6]],
            "encoder/types": [[0, 0, 0, 0, 2, *[0] * 7], [0, 0, 0, 0, 0, 2, *[0] * 6]],
            "encoder/segments": [[1] * 5 + [0] * 7, [1] * 6 + [0] * 6],
            "encoder/positions": [[*range(5), *[0] * 7], [*range(6), *[0] * 6]],
            "summaries/": [[4], [5]],
            "targets/": [[0], [1]],
            "weights/": [[1], [1]],
        },
    )


def test_so_it_does_where_words_are_asked_for():
    cfg = posed(TextToText(10, 3), ENCODER, last=True)
    assert cfg == Cloze(10, 3, last=True)
    batch = batch_of(cfg, [1, 1])
    assert batch["encoder"]["tokens"].tolist() == [
        [10, 11, 12, 8, 7, 6, 0, 0, 0, 0],
        [30, 31, 32, 33, 8, 8, 7, 6, 0, 0],
    ]
    assert batch["encoder"]["types"].tolist() == [[0] * 5 + [2] + [0] * 4, [0] * 7 + [2, 0, 0]]
    assert batch["places"].tolist() == [[3, 0, 0], [4, 5, 0]]


def test_two_texts_stand_in_one_frame_and_types_begin_anew_in_each():
    row = [6, 10, 11, 12, 7, 6, 30, 31, 32, 33, 7, 98, 97, 7]
    assert_is(
        batch_of(Classified(LABELS, 32, types=True), [2, 0], seconds=SECONDS),
        {
            "encoder/tokens": [[*row, *[0] * 18], [0] * 32],
            "encoder/types": [[0] * 11 + [1] * 3 + [0] * 18, [0] * 32],
            "encoder/segments": [[1] * 5 + [2] * 9 + [0] * 18, [0] * 32],
            "encoder/positions": [[*range(5), *range(9), *[0] * 18], [0] * 32],
            "summaries/": [[0, 5], [0, 0]],
            "targets/": [[0, 1], [0, 0]],
            "weights/": [[1, 1], [0, 0]],
        },
    )


@pytest.mark.parametrize(
    "cfg",
    [
        Classified(LABELS, 5),
        Classified(LABELS, 5, last=True),
        Classified(LABELS, 5, types=True),
        Classified(LABELS, 5, separators=2),
    ],
)
def test_long_inputs_are_cut_and_shapes_are_as_told(cfg):
    module = implementation(cfg)
    inputs, targets = module.cut(cfg, INPUTS[1], TARGETS[1])
    assert inputs.tolist() == [3, 3] and targets.tolist() == TARGETS[1].tolist()
    assert module.sizes(cfg, inputs, targets).tolist() == [[5, 1], [5, 1]]
    batch = batch_of(cfg, [1, 1], inputs=(INPUTS[0], inputs))
    told = batch_shapes(cfg, 2, full=False)
    del told["sample"]
    assert told == jax.tree.map(lambda x: (x.shape, x.dtype.type), batch)


def test_two_texts_are_cut_together():
    cfg = Classified(LABELS, 9, separators=2)
    lengths = np.array([3, 4]), np.array([9, 0]), TARGETS[1]
    first, second, targets = implementation(cfg).cut(cfg, *lengths)
    assert (first.tolist(), second.tolist(), targets.tolist()) == ([2, 4], [3, 0], [1, 2])
    assert implementation(cfg).sizes(cfg, first, second, targets).tolist() == [[9, 1], [8, 1]]


def test_plain_texts_have_types_where_the_model_has():
    assert posed(Classes(LABELS, 8, plain=True), ENCODER, types=True) == Classified(
        LABELS, 8, types=True
    )
    # A run of before there were any goes on as it was.
    old = from_json({"class": "Classes", "labels": [*LABELS], "length": 8}, Objective, "objective")
    assert old == Classes(LABELS, 8, plain=False)
    assert posed(old, ENCODER, types=True) == Classified(LABELS, 8)


def test_what_is_no_label_is_refused():
    cfg = Classified(LABELS, 32)
    wrong = dataclasses.replace(KNOWN, labels=((20,), (40, 42)))
    with pytest.raises(UserError, match="a target of the task is none of good, very bad"):
        batch_of(cfg, [2], vocabulary=wrong)
    with pytest.raises(UserError, match="spells 'good' and 'very bad' alike"):
        with_labels(VOCABULARY, LABELS, [SPELLED[0], SPELLED[0]])
    for labels in (("good",), ("good", "good")):
        with pytest.raises(UserError, match=r"o\.labels: .* are not two or more different"):
            Classes(labels).check("o")
    with pytest.raises(UserError, match=r"o\.length: 3 is not in"):
        Classes(LABELS, 3).check("o")
    bare = dataclasses.replace(VOCABULARY, cls_id=None)
    with pytest.raises(UserError, match=r"has no \[CLS\]"):
        implementation(cfg).check_vocabulary(cfg, bare)
