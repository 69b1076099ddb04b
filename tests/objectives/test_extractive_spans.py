"""Questions over contexts: windows, alignment and rows against run_squad.py's way, read slowly."""

import collections
import dataclasses
import functools
import json
import os
import pathlib

import jax
import numpy as np
import pytest
from tokenizers import pre_tokenizers

from t2t import run as runs
from t2t.data import batches
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.inspect import inspect_lines
from t2t.data.prepare import prepare
from t2t.data.source_config import Task
from t2t.data.subword_tokenizer import SubwordTokenizer
from t2t.data.tokenizers import ByteTokenizer
from t2t.errors import UserError
from t2t.objectives.config import ExtractiveSpans, MaskedLM, TextToText
from t2t.objectives.extractive_config import for_positions
from t2t.objectives.extractive_spans import window_of, windows
from t2t.objectives.implementations import batch_shapes
from t2t.tasks.catalog import find
from t2t.tasks.examples import examples
from t2t.tasks.pairs import open_pairs, open_readings
from tests import tiny_squad
from tests.tasks import published

SHARED = pathlib.Path(__file__).parents[2].parent / "shared/data/tasks"


def slow_windows(tokens: int, room: int, stride: int) -> list[tuple[int, int]]:
    """(start, length) of each, as run_squad.py's loop finds them."""
    found, start = [], 0
    while True:
        length = min(tokens - start, room)
        found.append((start, length))
        if start + length >= tokens:
            return found
        start += min(length, stride)


def slow_best(found: list[tuple[int, int]], position: int) -> int:
    """run_squad.py's `_check_is_max_context`."""
    best, of = None, None
    for index, (start, length) in enumerate(found):
        end = start + length - 1
        if position < start or position > end:
            continue
        score = min(position - start, end - position) + 0.01 * length
        if best is None or score > best:
            best, of = score, index
    return of


def test_windows_are_run_squads():
    rng = np.random.default_rng(0)
    cfg = ExtractiveSpans(length=40, question_length=9, stride=11)
    questions, contexts = rng.integers(0, 20, 200), rng.integers(0, 150, 200)
    cut = windows(cfg, questions, contexts)
    assert {1, 2, 3} < set(np.bincount(cut.pair).tolist())
    for pair, (question, context) in enumerate(zip(questions, contexts, strict=True)):
        mine = cut.pair == pair
        kept = min(question, 9)
        assert (cut.question[mine] == kept).all()
        wanted = slow_windows(int(context), 37 - kept, 11)
        assert list(zip(cut.begin[mine], cut.size[mine], strict=True)) == wanted
        best = window_of(cut.begin[mine], cut.size[mine], int(context))
        assert best.tolist() == [slow_best(wanted, i) for i in range(context)]


# --- from files to rows ---------------------------------------------------------------------------


def touched(text: str, token: tuple[int, int], begin: int, end: int) -> bool:
    return any(begin <= i < end for i in range(*token))


def slow_row(cfg, tokenizer, reading, start: int, length: int) -> dict[str, list[int]]:
    """One window from its texts, by the library's own offsets and characters one by one."""
    facts, library = tokenizer.vocabulary, tokenizer.tokenizer
    question = library.encode(reading.question, add_special_tokens=False).ids
    context = library.encode(reading.context, add_special_tokens=False)
    question, ids = question[: cfg.question_length], context.ids[start : start + length]
    row = [facts.cls_id, *question, facts.sep_id, *ids, facts.sep_id]
    inside = [
        i for i, at in enumerate(context.offsets) if touched(reading.context, at, *reading.answer)
    ]
    first, last = inside[0] - start, inside[-1] - start
    here = first >= 0 and last < length
    before = len(question) + 2
    return {
        "tokens": row,
        "types": [0] * before + [1] * (length + 1),
        "targets": [before + first, before + last] if here else [0, 0],
    }


def check_rows(source: Task, tokenizer, cfg, folder) -> collections.Counter:
    """Every row of an epoch is the slow one of its window; returns what was seen."""
    task = find("squad")
    readings = [e.reading for e in examples(task, source.split, source.data, source.limit)]
    readings = [one for one in readings if one.answer]
    store = prepare(open_readings(source), tokenizer, str(folder), progress=False)
    data = Data(Mixture((Corpus("squad", source),)), (Corpus("held", source),), batch_size=16)
    samples = batches.evaluation_samples(data, [store], cfg, tokenizer.vocabulary, 0)["held"]
    wanted = []
    for one in readings:
        sizes = [len(tokenizer.encode([text])[0]) for text in (one.question, one.context)]
        room = cfg.length - 3 - min(sizes[0], cfg.question_length)
        wanted += [
            (one, slow_row(cfg, tokenizer, one, *window))
            for window in slow_windows(sizes[1], room, cfg.stride)
        ]
    seen, number = collections.Counter(), 0
    for step in range(samples.batches):
        batch = samples.batch_at(step)
        for row in range(16):
            encoder = {name: part[row] for name, part in batch["encoder"].items()}
            if number == len(wanted):
                assert not batch["weights"][row].any() and not encoder["segments"].any()
                continue
            reading, slow = wanted[number]
            size = len(slow["tokens"])
            for name in ("tokens", "types"):
                assert encoder[name][:size].tolist() == slow[name], (number, name)
            assert not encoder["types"][size:].any()
            assert encoder["segments"].tolist() == [1] * size + [0] * (cfg.length - size)
            assert encoder["positions"][:size].tolist() == list(range(size))
            first, last = slow["targets"]
            assert batch["targets"][row].tolist() == [first, last], number
            assert batch["weights"][row].tolist() == [1, 1]
            seen["answers" if first else "none"] += 1
            number += 1
    assert number == len(wanted)
    seen["questions"] = len(readings)
    told = batch_shapes(cfg, 16, full=False)
    assert told == jax.tree.map(
        lambda x: (x.shape, np.int32 if x.dtype == np.int64 else x.dtype.type), batch
    )
    text = "\n".join(inspect_lines(samples, tokenizer, 0, rows=2))
    assert f"windows of {len(readings)} questions" in samples.corpora[0].describe()
    assert "targets (" in text and "pair 0 of the store" in text
    return seen


def test_rows_of_a_published_file_are_those_of_its_texts(tmp_path):
    data = tiny_squad.write_files(tmp_path, 12)
    cfg = ExtractiveSpans(length=32, question_length=10, stride=6)
    tokenizer = SubwordTokenizer(str(tmp_path / "vocab.txt"))
    seen = check_rows(Task("squad", data=data), tokenizer, cfg, tmp_path / "store")
    assert seen["questions"] == 12 and seen["answers"] > 10 and seen["none"] > 10


@functools.cache
def byte_pairs(folder: str) -> str:
    """A tokenizer.json of GPT-2's kind without merges: the space before a word is a token of its own."""
    from t2t.data.subword_tokenizer import byte_bpe

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    ids = {piece: i for i, piece in enumerate([*special, *alphabet, "Ġt", "he", "Ġthe"])}
    made = byte_bpe(ids, [("Ġ", "t"), ("h", "e"), ("Ġt", "he")], special)
    path = f"{folder}/tokenizer.json"
    with open(path, "w") as file:
        file.write(made.to_str())
    return path


@pytest.mark.parametrize("kind", ["wordpiece", pytest.param("bytes", marks=pytest.mark.slow)])
def test_rows_of_real_questions_are_those_of_their_texts(tmp_path, kind):
    if not os.path.isdir(SHARED):
        pytest.skip("needs ../shared/data/tasks")
    source = Task("squad", "validation", data=str(SHARED), limit=60 if kind == "bytes" else 80)
    tiny_squad.write_vocabulary(tmp_path)
    path = str(tmp_path / "vocab.txt") if kind == "wordpiece" else byte_pairs(str(tmp_path))
    cfg = ExtractiveSpans(length=256, question_length=64, stride=100)
    seen = check_rows(source, SubwordTokenizer(path), cfg, tmp_path / "store")
    assert seen["questions"] >= 0.97 * source.limit and min(seen["answers"], seen["none"]) > 50


def test_the_place_of_an_answer_is_the_published_one(tmp_path):
    context = "Ann and Bob. Bob met Ann; the Bobs met."
    qas = [
        {"id": "a", "question": "Who?", "answers": [{"text": "Bob", "answer_start": 13}]},
        {"id": "b", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 3}]},
        {"id": "c", "question": "Who?", "answers": [{"text": "Eve", "answer_start": 3}]},
    ]
    article = {"title": "t", "paragraphs": [{"context": context, "qas": qas}]}
    (tmp_path / "train-v1.1.json").write_text(json.dumps({"data": [article], "version": "1.1"}))
    found = [one.reading for one in examples(find("squad"), "train", str(tmp_path))]
    # As told; where that is not true the first; one that is not there has no place, and no row.
    assert [one.answer for one in found] == [(13, 16), (0, 3), None]
    assert {one.context for one in found} == {context}
    opened = open_readings(Task("squad", data=str(tmp_path)))
    pairs = list(opened.read())
    assert pairs == [("Who?", context)] * 2 and pairs[0][1].answer == (13, 16)
    assert opened.fingerprint != open_pairs(Task("squad", data=str(tmp_path))).fingerprint
    qas[0]["answers"][0]["answer_start"] = 8
    (tmp_path / "train-v1.1.json").write_text(json.dumps({"data": [article], "version": "1.1"}))
    assert open_readings(Task("squad", data=str(tmp_path))).fingerprint != opened.fingerprint


def test_a_question_without_an_answer_points_at_cls(tmp_path):
    data = published.write(tmp_path, published.SQUAD)
    tiny_squad.write_vocabulary(tmp_path)
    found = list(examples(find("squad_v2"), "train", data))
    assert [one.reading.unanswerable for one in found] == [False, False, True]
    assert (found[2].target, found[2].truth) == ("unanswerable", ("",))
    assert find("squad_v2").read("unanswerable", found[2]) == ""
    tokenizer = SubwordTokenizer(str(tmp_path / "vocab.txt"))
    source = Task("squad_v2", data=data)
    store = prepare(open_readings(source), tokenizer, str(tmp_path / "store"), progress=False)
    cfg = Data(Mixture((Corpus("squad", source),)), (Corpus("held", source),), batch_size=3)
    spans = ExtractiveSpans(length=64, question_length=24, stride=20)
    samples = batches.evaluation_samples(cfg, [store], spans, tokenizer.vocabulary, 0)["held"]
    batch = samples.batch_at(0)
    assert (batch["targets"][:2] > 0).all() and batch["targets"][2].tolist() == [0, 0]
    assert batch["weights"].all()


# --- what does not go together --------------------------------------------------------------------


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("squad")
    tiny_squad.write_files(folder, 3)
    return tiny_squad.get_config(str(folder))


def changed(run, **changes):
    for key, value in changes.items():
        first, _, rest = key.partition("__")
        if rest:
            value = dataclasses.replace(getattr(run, first), **{rest: value})
        run = dataclasses.replace(run, **{first: value})
    return run


def test_berts_settings_go_as_far_as_positions_do():
    assert for_positions(None) == for_positions(512) == ExtractiveSpans()
    for positions in (8, 20, 96, 300):
        cfg = for_positions(positions)
        cfg.check("objective")
        assert cfg.length == positions


REFUSED = [
    ({"model__token_classes": 0}, "config.model.token_classes: 0, and ExtractiveSpans"),
    ({"data__order": "packed"}, "config.data.order: 'packed', and ExtractiveSpans"),
    ({"training__label_smoothing": 0.1}, "config.training.label_smoothing: is not for Extr"),
    ({"objective": ExtractiveSpans(64, 30, 40)}, "config.objective.stride: 40 would leave out"),
    ({"objective": ExtractiveSpans(stride=0)}, "config.objective.stride: 0 is not positive"),
    ({"objective": ExtractiveSpans(512)}, "learned_positions: 96 are fewer than the 512"),
    ({"objective": MaskedLM(64)}, "MaskedLM is for running text, and every corpus is a task"),
]


@pytest.mark.parametrize("changes, named", REFUSED)
def test_what_does_not_go_together_is_named(recipe, changes, named):
    with pytest.raises(UserError, match=named):
        runs.check(changed(recipe, **changes))


def test_tasks_without_a_context_are_refused(recipe):
    runs.check(recipe)
    runs.check_inputs(recipe)
    data = dataclasses.replace(
        recipe.data,
        train=Mixture((Corpus("a", Task("squad_context_free", data=tiny_squad.of(recipe))),)),
    )
    with pytest.raises(UserError, match="its answers are no parts of a context"):
        runs.check_inputs(dataclasses.replace(recipe, data=data))
    cloze = changed(recipe, objective=TextToText(64, 8), model__token_classes=0)
    with pytest.raises(UserError, match=r"an encoder points at the answer: .*finetune:squad:FROM"):
        runs.check_inputs(cloze)


def test_a_vocabulary_that_does_not_tell_characters_is_refused(recipe, tmp_path):
    source = recipe.data.train.corpora[0].source
    with pytest.raises(UserError, match="not told from characters, which answers count"):
        prepare(open_readings(source), ByteTokenizer(9), str(tmp_path / "store"), progress=False)
