"""The best span over all windows is that of looking at every one; it is cut out of the text itself."""

import dataclasses

import jax
import numpy as np
import pytest

from t2t.data.subword_tokenizer import SubwordTokenizer
from t2t.decoding.decode import make_decoder
from t2t.decoding.fill import shown_rows
from t2t.decoding.spans import answer_passages, best_spans, encode_passages
from t2t.errors import UserError
from t2t.models.transformer import build
from t2t.objectives.config import ExtractiveSpans
from t2t.wiring.extractive import NEVER, place_logits
from tests import tiny_squad
from tests.decoding.random_model import random_params
from tests.objectives.test_extractive_spans import slow_best, slow_windows


def slow_spans(logits, starts, ends, longest):
    """(-score, first, last) of every span of one row, best first."""
    found = []
    for first in np.flatnonzero(starts):
        for last in range(first, min(first + longest, len(ends))):
            if ends[last]:
                found.append((-(logits[0, first] + logits[1, last]), int(first), last))
    return sorted(found)


def test_the_best_spans_are_those_of_looking_at_each():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 2, 23)).astype(np.float32)
    starts, ends = rng.random((2, 6, 23)) < 0.5
    ends[4] = False  # no span at all
    starts[5, 1:], ends[5, 3:] = False, False
    for longest in (1, 4, 40):
        search = jax.jit(lambda *a, n=longest: best_spans(*a, n, 20))
        scores, first, last = jax.device_get(search(logits, starts, ends))
        for row in range(6):
            wanted = slow_spans(logits[row], starts[row], ends[row], longest)[:20]
            there = scores[row] > NEVER / 2
            assert there.sum() == len(wanted) and (row != 4 or not wanted)
            found = zip(-scores[row][there], first[row][there], last[row][there], strict=True)
            assert [one[1:] for one in found] == [one[1:] for one in wanted], (row, longest)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("squad")
    tiny_squad.write_vocabulary(folder)
    run = tiny_squad.get_config(str(folder))
    arch = dataclasses.replace(run.model, encoder_layers=1)
    return make_decoder(build(arch), SubwordTokenizer(str(folder / "vocab.txt")))


CFG = ExtractiveSpans(length=40, question_length=12, stride=9, answer_length=5)


def test_answers_are_those_of_every_window_looked_at(decoder):
    model, facts = decoder.model, decoder.tokenizer.vocabulary
    params = random_params(model, seed=1, noise=0.5)
    article = tiny_squad.article(3, 9)["paragraphs"]
    contexts = [one["context"] for one in article] + ["It is  pale -\tpink!", "", "a " * 60]
    questions = [one["qas"][0]["question"] for one in article] + [
        "What?",
        "What?",
        "What colour? " * 9,
    ]
    passages = encode_passages(decoder.tokenizer, questions, contexts)
    logits_of = jax.jit(lambda params, side: place_logits(model, params, side))

    def slow(passage):
        question = passage.question[:12]
        cut = slow_windows(len(passage.context), 37 - len(question), 9)
        found, before = [], len(question) + 2
        for number, (start, length) in enumerate(cut):
            ids = passage.context[start : start + length]
            row = [facts.cls_id, *question, facts.sep_id, *ids, facts.sep_id]
            side = {name: np.zeros((1, 40), np.int32) for name in ("tokens", "segments", "types")}
            side["tokens"][0, : len(row)], side["segments"][0, : len(row)] = row, 1
            side["types"][0, before : len(row)] = 1
            side["positions"] = np.arange(40)[None]
            logits = np.asarray(logits_of(params, side))[0]
            ends = np.zeros(40, bool)
            ends[before : before + length] = True
            starts = np.array(
                [ends[i] and slow_best(cut, i - before + start) == number for i in range(40)]
            )
            found += [
                (score, first - before + start, last - before + start)
                for score, first, last in slow_spans(logits, starts, ends, 5)
            ]
        if not found:
            return "", 0.0
        scores = -np.array([one[0] for one in sorted(found)[:20]], np.float64)
        _, first, last = min(found)
        begin, end = passage.offsets[first][0], passage.offsets[last][1]
        return passage.text[begin:end], scores[0] - np.log(np.exp(scores).sum())

    wanted = [slow(one) for one in passages]
    assert len(slow_windows(len(passages[-1].context), 25, 9)) > 3
    for size in (4, 64):
        found = answer_passages(decoder, params, CFG, passages, size)
        assert [one.text for one in found] == [text for text, _ in wanted]
        logs = [one.log_probability for one in found]
        np.testing.assert_allclose(logs, [log for _, log in wanted], atol=1e-5)
    assert found[-2].text == "" and all(
        one.text in text for one, text in zip(found, contexts, strict=True)
    )


def test_an_answer_is_the_text_and_not_its_tokens(decoder):
    (passage,) = encode_passages(
        decoder.tokenizer, ["What?"], ["It is  dark-red, Zoë's \u201cHat\u201d"]
    )
    pieces = decoder.tokenizer.pieces(passage.context)
    at = pieces.index("dark")
    begin, end = passage.offsets[at, 0], passage.offsets[at + 2, 1]
    assert passage.text[begin:end] == "dark-red"
    assert decoder.tokenizer.decode(passage.context[at : at + 3]) != "dark-red"


def test_rows_are_shown_with_their_spans(decoder):
    params = random_params(decoder.model, seed=1, noise=0.5)
    tokens = decoder.tokenizer.encode(["ann has a hat"])[0]
    facts = decoder.tokenizer.vocabulary
    row = np.array([[facts.cls_id, *tokens[:1], facts.sep_id, *tokens, facts.sep_id]], np.int32)
    places = np.arange(row.shape[1])[None]
    side = {"tokens": row, "segments": np.ones_like(row), "positions": places}
    side["types"] = (places > 2).astype(np.int32)
    batch = {"encoder": side, "targets": np.array([[5, 6]]), "weights": np.ones((1, 2))}
    lines = list(shown_rows(decoder, params, batch, 3))
    assert lines[-1] == "  truth: 'a hat'" and lines[1].startswith("  model: '")


def test_a_vocabulary_that_does_not_tell_characters_is_refused():
    from t2t.data.tokenizers import ByteTokenizer

    with pytest.raises(UserError, match="does not tell which characters a token has"):
        encode_passages(ByteTokenizer(), ["a"], ["b"])
