"""Tasks made ready: prompts, lengths, hashes, names, and what is refused before any decoding."""

import json

import pytest

from t2t.data.tokenizer_config import SentencePiece
from t2t.data.tokenizers import ByteTokenizer, load
from t2t.decoding.config import Beam, Greedy
from t2t.errors import UserError
from t2t.evaluation.config import Judging
from t2t.evaluation.prepared import prepare
from t2t.tasks.catalog import TASKS
from t2t.tasks.own_task import load_task
from tests.evaluation.saved_run import TASK, write_task

BYTES = ByteTokenizer(125)


@pytest.fixture
def task(tmp_path):
    return load_task(str(write_task(tmp_path)))


def prepared(task, tokenizer=BYTES, **settings):
    return prepare(task, Judging(**settings), tokenizer)


def test_rows_are_the_encoded_inputs_with_their_end(task):
    found = prepared(task)
    assert found.name == "colours" and found.split == "validation" and found.labelled
    for example, row, target in zip(found.examples, found.rows, found.targets, strict=True):
        assert row[-1] == 1 and target[-1] == 1
        assert BYTES.decode(row) == example.input and BYTES.decode(target) == example.target
    assert found.decoding == Greedy(max_tokens=12) and not found.scored and found.truncated == 0


def test_long_inputs_are_cut_and_counted(task):
    found = prepared(task, inputs_length=24)
    lengths = [len(example.input.encode()) for example in found.examples]
    assert 0 < found.truncated < len(lengths)
    assert found.truncated == sum(length > 23 for length in lengths)
    for example, row in zip(found.examples, found.rows, strict=True):
        assert len(row) <= 24 and row[-1] == 1
        assert BYTES.decode(row) == example.input[:23]


def test_the_hash_is_of_data_prompts_and_decoding_alone(task, tmp_path):
    base = prepared(task).identity
    same = [{"batch_size": 3}, {"resamples": 0}, {"seed": 5}, {"data": str(tmp_path)}]
    assert {prepared(task, **settings).identity for settings in same} == {base}
    other = [
        {"beams": 4}, {"beams": 2}, {"rank": True}, {"limit": 5}, {"split": "train"},
        {"shots": 1, "inputs_length": 200}, {"shots": 1, "inputs_length": 200, "seed": 1},
        {"inputs_length": 24}, {"targets_length": 5},
    ]  # fmt: skip
    found = [prepared(task, **settings).identity for settings in other]
    found.append(prepared(task, ByteTokenizer(100)).identity)
    (tmp_path / "colours.jsonl").write_text('{"thing": "x", "colour": "red"}\n')
    found.append(prepared(task).identity)
    assert len({base, *found}) == 1 + len(found)


def test_every_set_of_predictions_has_its_own_name(task):
    names = {
        prepared(task, **settings).name
        for settings in (
            {},
            {"split": "train"},
            {"limit": 3},
            {"split": "train", "rank": True},
            {"shots": 2, "inputs_length": 200, "seed": 1},
        )
    }
    assert names == {
        "colours",
        "colours.train",
        "colours.limit_3",
        "colours.train.rank",
        "colours.shots_2.seed_1.inputs_length_200",
    }


def test_a_prompt_shows_solved_examples_of_the_training_split(task):
    plain = prepared(task).examples[0]
    shown = prepared(task, shots=2, inputs_length=200).examples[0]
    first, second, own = shown.input.split("\n\n")
    assert own == plain.input and shown.target == plain.target
    for one in (first, second):
        question, answer = one.split("\n")
        assert question.startswith("colour of shown ") and answer in ("red", "green", "blue")
    with pytest.raises(UserError, match="with 2 shots has .* more than --inputs-length=64"):
        prepared(task, shots=2)
    with pytest.raises(UserError, match="--shots=50: the training split holds only"):
        prepared(task, shots=50)


def test_tasks_are_decoded_as_t5_decodes_them(shared_data):
    data = str(shared_data / "tasks")
    german = prepared(TASKS["multi30k_ende"], data=data, split="test_2016", limit=2)
    assert german.decoding == Beam(max_tokens=128, beams=4, length_penalty=0.6)
    assert german.examples[0].input.startswith("translate English to German: ")
    review = prepared(TASKS["glue_sst2"], data=data, limit=2)
    assert review.decoding == Greedy(max_tokens=84) and len(review.rows) == 2


def test_only_likelihoods_need_no_writing(tmp_path):
    text = TASK.replace('["accuracy", "macro_f1"]', '["perplexity", "bits_per_byte"]')
    found = prepared(load_task(str(write_task(tmp_path, text=text))))
    assert found.decoding is None and not found.written and found.scored


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "tets"}, "colours: has no split 'tets'"),
        ({"split": "test"}, "colours: has no split 'test'"),
    ],
)
def test_what_is_not_there_is_refused(task, settings, message):
    with pytest.raises(UserError, match=message):
        prepared(task, **settings)


def test_ranking_needs_choices(tmp_path):
    text = TASK.replace('choices = ["red", "green", "blue"]\n', "").replace(', "macro_f1"', "")
    with pytest.raises(UserError, match="colours: --rank chooses among a task's choices"):
        prepared(load_task(str(write_task(tmp_path, text=text))), rank=True)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ('["f1"]', "colours: metric f1: f1 judges two labels; the task has more"),
        ('["bleu"]', "colours: metric bleu: this metric judges texts; the task has `choices`"),
        ('["squad_v2"]', "colours: metric squad_v2: this metric judges texts; the task has"),
        ('["own_metric_that_is_not:mine"]', "No module named 'own_metric_that_is_not'"),
    ],
)
def test_a_metric_that_cannot_judge_is_known_before_decoding(tmp_path, metrics, message):
    text = TASK.replace('["accuracy", "macro_f1"]', metrics)
    with pytest.raises(UserError, match=message):
        prepared(load_task(str(write_task(tmp_path, text=text))))


def test_a_users_metric_that_fails_names_its_line(tmp_path):
    (tmp_path / "mine.py").write_text("def wrong(truths, values):\n    return 1 / 0\n")
    text = TASK.replace('["accuracy", "macro_f1"]', f'["{tmp_path}/mine.py:wrong"]')
    with pytest.raises(UserError, match=r"mine\.py:2: ZeroDivisionError: division by zero"):
        prepared(load_task(str(write_task(tmp_path, text=text))))
    (tmp_path / "mine.py").write_text("def right(truths, values):\n    return 1\n")
    with pytest.raises(UserError, match="has no function 'wrong'"):
        prepared(load_task(str(write_task(tmp_path, text=text))))


# --- A task whose vocabulary is not the model's --------------------------------------------------


@pytest.fixture(scope="module")
def t5(shared_data):
    return load(SentencePiece(str(shared_data / "tokenizers" / "t5_spiece.model")))


def test_answers_that_the_vocabulary_cannot_spell_are_refused(tmp_path, t5):
    path = write_task(tmp_path, text=TASK.replace('"blue"]', '"blue", "蓝"]'))
    with pytest.raises(UserError) as caught:
        prepared(load_task(str(path)), t5)
    assert str(caught.value) == (
        "colours: the model's vocabulary is not made for it: it cannot spell the answer '蓝'; "
        "evaluate a model whose tokenizer can"
    )


def test_texts_that_the_vocabulary_cannot_spell_are_refused(tmp_path, t5):
    path = write_task(tmp_path)
    rows = [{"thing": "天地玄黄 宇宙洪荒 " * 3, "colour": "red"}] * 4
    (tmp_path / "colours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="cannot spell .*% of its inputs' tokens"):
        prepared(load_task(str(path)), t5)
    prepared(load_task(str(path)), BYTES)  # bytes spell everything


def test_blanks_need_sentinels(tmp_path, t5):
    text = TASK.replace("colour of {thing}:", "{thing} is <extra_id_0> or <extra_id_30>")
    path = write_task(tmp_path, text=text)
    prepared(load_task(str(path)), t5)
    with pytest.raises(UserError, match="it has 11 sentinels, not <extra_id_30>"):
        prepared(load_task(str(path)), ByteTokenizer())


def test_german_is_spelled_by_the_t5_vocabulary(shared_data, t5):
    found = prepared(TASKS["multi30k_ende"], t5, data=str(shared_data / "tasks"))
    assert len(found.examples) == 1014
