"""[CLS] and [SEP] around one text or two: before and behind, types, and what is cut where there is no room."""

import dataclasses

import numpy as np
import pytest

from t2t.objectives.framing import fitting, frame_each
from tests.objectives.test_posed_pairs import VOCABULARY

# The second has a [CLS] (6) of its own, as a text that names it may.
TEXTS = [np.array([10, 11], np.int32), np.array([20, 6, 21], np.int32), np.zeros(0, np.int32)]
ROBERTA = dataclasses.replace(VOCABULARY, separators=2)


def told(framed):
    return {name: part.tolist() for name, part in framed.encoder.items()}


def test_cls_stands_first():
    framed = frame_each(VOCABULARY, False, [(text,) for text in TEXTS], 6)
    assert told(framed) == {
        "tokens": [[6, 10, 11, 7, 0, 0], [6, 20, 6, 21, 7, 0], [6, 7, 0, 0, 0, 0]],
        "segments": [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]],
        "positions": [[0, 1, 2, 3, 0, 0], [0, 1, 2, 3, 4, 0], [0, 1, 0, 0, 0, 0]],
    }
    assert framed.begins.tolist() == [1, 1, 1] and framed.summaries.tolist() == [0, 0, 0]


def test_cls_stands_last_and_alone_is_of_another_type():
    framed = frame_each(VOCABULARY, True, [(text,) for text in TEXTS], 6)
    rows = told(framed)
    assert rows["tokens"] == [[10, 11, 7, 6, 0, 0], [20, 6, 21, 7, 6, 0], [7, 6, 0, 0, 0, 0]]
    assert rows["types"] == [[0, 0, 0, 2, 0, 0], [0, 0, 0, 0, 2, 0], [0, 2, 0, 0, 0, 0]]
    assert framed.begins.tolist() == [0, 0, 0] and framed.summaries.tolist() == [3, 4, 1]


def test_a_second_text_has_a_sep_and_a_type_of_its_own():
    pairs = [tuple(TEXTS[:2]), (TEXTS[0],), (TEXTS[1], TEXTS[2])]
    bert = [
        ([6, 10, 11, 7, 20, 6, 21, 7, 0], [0, 0, 0, 0, 1, 1, 1, 1, 0]),
        ([6, 10, 11, 7, 0, 0, 0, 0, 0], [0] * 9),
        ([6, 20, 6, 21, 7, 7, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0, 0]),  # two, one without a token
    ]
    framed = frame_each(VOCABULARY, False, pairs, 9, types=True)
    assert list(zip(*map(told(framed).get, ("tokens", "types")), strict=True)) == bert
    assert set(told(framed)["segments"][0]) == {0, 1}  # two texts of an example see each other
    bare = frame_each(VOCABULARY, False, pairs, 9)
    assert "types" not in bare.encoder and told(bare)["tokens"] == told(framed)["tokens"]
    xlnet = [
        ([10, 11, 7, 20, 6, 21, 7, 6, 0], [0, 0, 0, 1, 1, 1, 1, 2, 0]),
        ([10, 11, 7, 6, 0, 0, 0, 0, 0], [0, 0, 0, 2, 0, 0, 0, 0, 0]),
        ([20, 6, 21, 7, 7, 6, 0, 0, 0], [0, 0, 0, 0, 1, 2, 0, 0, 0]),
    ]
    framed = frame_each(VOCABULARY, True, pairs, 9)
    assert list(zip(*map(told(framed).get, ("tokens", "types")), strict=True)) == xlnet
    assert framed.summaries.tolist() == [7, 3, 5]
    # RoBERTa's two [SEP]s; where such a model has types they tell nothing.
    framed = frame_each(ROBERTA, False, pairs[:2], 9, types=True)
    rows = [[6, 10, 11, 7, 7, 20, 6, 21, 7], [6, 10, 11, 7, 0, 0, 0, 0, 0]]
    assert told(framed)["tokens"] == rows and not framed.encoder["types"].any()


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens are kept of two texts, one after the other taken from the longer."""
    longer = first > second
    while first + second > room:
        if first == second:  # the odd token is the longer's, of two alike the second's
            first, second = (first, second - 1) if longer else (first - 1, second)
        elif first > second:
            first -= 1
        else:
            second -= 1
    return first, second


@pytest.mark.parametrize("separators", [1, 2])
def test_the_longer_text_is_cut_first(separators):
    first, second = (side.reshape(-1) for side in np.mgrid[0:9, 0:9])
    for length in range(4, 16):
        found = np.stack(fitting(first, second, separators, length), axis=1)
        room = length - 2 - separators
        wanted = [longest_first(a, b, room) for a, b in zip(first, second, strict=True)]
        assert found.tolist() == [list(one) for one in wanted]
        alone = fitting(first, np.full_like(first, -1), separators, length)
        assert alone[0].tolist() == np.minimum(first, length - 2).tolist()
        assert (alone[1] == -1).all()
