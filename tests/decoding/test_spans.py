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


def looked_at(decoder, logits_of, passage):
    """Every span of a passage as (-score, first, last), and what "no answer" scores, window by window."""
    facts, question = decoder.tokenizer.vocabulary, passage.question[:12]
    cut = slow_windows(len(passage.context), 37 - len(question), 9)
    found, nulls, before = [], [], len(question) + 2
    for number, (start, length) in enumerate(cut):
        ids = passage.context[start : start + length]
        row = [facts.cls_id, *question, facts.sep_id, *ids, facts.sep_id]
        side = {name: np.zeros((1, 40), np.int32) for name in ("tokens", "segments", "types")}
        side["tokens"][0, : len(row)], side["segments"][0, : len(row)] = row, 1
        side["types"][0, before : len(row)] = 1
        side["positions"] = np.arange(40)[None]
        logits = np.asarray(logits_of(side))[0]
        nulls.append(float(logits[0, 0] + logits[1, 0]))
        ends = np.zeros(40, bool)
        ends[before : before + length] = True
        starts = np.array(
            [ends[i] and slow_best(cut, i - before + start) == number for i in range(40)]
        )
        found += [
            (score, first - before + start, last - before + start)
            for score, first, last in slow_spans(logits, starts, ends, 5)
        ]
    return sorted(found), min(nulls)


def passages_of(decoder):
    article = tiny_squad.article(3, 9)["paragraphs"]
    contexts = [one["context"] for one in article] + ["It is  pale -\tpink!", "", "a " * 60]
    questions = [one["qas"][0]["question"] for one in article]
    questions += ["What?", "What?", "What colour? " * 9]
    return encode_passages(decoder.tokenizer, questions, contexts)


def told(decoder, seed):
    """Parameters, and what there is to choose from in each passage, looked at one by one."""
    params = random_params(decoder.model, seed=seed, noise=0.5)
    logits_of = jax.jit(lambda side: place_logits(decoder.model, params, side))
    passages = passages_of(decoder)
    return params, passages, [looked_at(decoder, logits_of, one) for one in passages]


def log_of(score, others):
    return score - np.log(np.exp(np.array(others, np.float64)).sum())


def test_answers_are_those_of_every_window_looked_at(decoder):
    params, passages, seen = told(decoder, 1)

    def slow(passage, found):
        if not found:
            return "", 0.0
        _, first, last = found[0]
        text = passage.text[passage.offsets[first][0] : passage.offsets[last][1]]
        return text, log_of(-found[0][0], [-one[0] for one in found[:20]])

    wanted = [slow(one, found) for one, (found, _) in zip(passages, seen, strict=True)]
    assert len(slow_windows(len(passages[-1].context), 25, 9)) > 3
    for size in (4, 64):
        found = answer_passages(decoder, params, CFG, passages, size)
        assert [one.text for one in found] == [text for text, _ in wanted]
        logs = [one.log_probability for one in found]
        np.testing.assert_allclose(logs, [log for _, log in wanted], atol=1e-5)
    assert found[-2].text == "" and all(
        one.text in passage.text for one, passage in zip(found, passages, strict=True)
    )


def test_there_is_no_answer_where_cls_scores_above_the_best_span_in_every_window(decoder):
    params, passages, seen = told(decoder, 2)
    spans = answer_passages(decoder, params, CFG, passages, 64)
    above = np.array([null + found[0][0] if found else np.inf for found, null in seen])
    middle = float(np.median(above[np.isfinite(above)])) + 1e-3
    cfg = dataclasses.replace(CFG, null_threshold=middle)
    for size in (4, 64):
        judged = answer_passages(decoder, params, cfg, passages, size)
        for one, span, (found, null), far in zip(judged, spans, seen, above, strict=True):
            assert one.text == ("" if far > middle else span.text)
            if found:
                scores = [-each[0] for each in found[:20]]
                mine = null if far > middle else scores[0]
                assert one.log_probability == pytest.approx(log_of(mine, [*scores, null]), abs=1e-4)
    assert 3 <= sum(far > middle for far in above) <= 9


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
