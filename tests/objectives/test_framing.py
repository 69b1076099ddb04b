"""[CLS] and [SEP] around texts: before and behind, one a row; what is framed is got out again."""

import numpy as np

from t2t.objectives.framing import frame_each, unframed
from tests.objectives.test_posed_pairs import VOCABULARY

# The second has a [CLS] (6) of its own, as a text that names it may.
TEXTS = [np.array([10, 11], np.int32), np.array([20, 6, 21], np.int32), np.zeros(0, np.int32)]


def told(framed):
    return {name: part.tolist() for name, part in framed.encoder.items()}


def test_cls_stands_first():
    framed = frame_each(VOCABULARY, False, TEXTS, 6)
    assert told(framed) == {
        "tokens": [[6, 10, 11, 7, 0, 0], [6, 20, 6, 21, 7, 0], [6, 7, 0, 0, 0, 0]],
        "segments": [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]],
        "positions": [[0, 1, 2, 3, 0, 0], [0, 1, 2, 3, 4, 0], [0, 1, 0, 0, 0, 0]],
    }
    assert framed.begins.tolist() == [1, 1, 1] and framed.summaries.tolist() == [0, 0, 0]


def test_cls_stands_last_and_alone_is_of_another_type():
    framed = frame_each(VOCABULARY, True, TEXTS, 6)
    rows = told(framed)
    assert rows["tokens"] == [[10, 11, 7, 6, 0, 0], [20, 6, 21, 7, 6, 0], [7, 6, 0, 0, 0, 0]]
    assert rows["types"] == [[0, 0, 0, 2, 0, 0], [0, 0, 0, 0, 2, 0], [0, 2, 0, 0, 0, 0]]
    assert framed.begins.tolist() == [0, 0, 0] and framed.summaries.tolist() == [3, 4, 1]


def test_a_text_is_got_out_of_its_frame():
    for last in (False, True):
        framed = frame_each(VOCABULARY, last, TEXTS, 8).encoder
        for row, segments, text in zip(framed["tokens"], framed["segments"], TEXTS, strict=True):
            assert unframed(row[segments == 1], last).tolist() == text.tolist()
