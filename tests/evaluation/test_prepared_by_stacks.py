"""The same task for a decoder alone and an encoder alone: the same words, what is asked around them."""

import dataclasses

import pytest

from t2t.data.tokenizers import ByteTokenizer
from t2t.decoding.config import Greedy
from t2t.errors import UserError
from t2t.evaluation.config import Judging
from t2t.evaluation.prepared import prepare
from t2t.tasks.catalog import TASKS
from t2t.tasks.lambada import read_first_word
from t2t.tasks.own_task import load_task
from t2t.tasks.task import Example
from tests.evaluation.saved_run import TASK, write_task
from tests.models.tiny_families import FAMILIES

BYTES = ByteTokenizer(125)
BYTES.vocabulary = dataclasses.replace(
    BYTES.vocabulary, bos_id=300, cls_id=301, sep_id=302, mask_id=303
)
DECODER = dataclasses.replace(FAMILIES["llama"], vocab_size=384)
ENCODER = dataclasses.replace(FAMILIES["roberta"], vocab_size=384, learned_positions=130)


@pytest.fixture
def task(tmp_path):
    return load_task(str(write_task(tmp_path)))


def prepared(task, arch, **settings):
    return prepare(task, Judging(**settings), BYTES, arch)


def test_a_decoder_alone_goes_on_with_the_input(task):
    found = prepared(task, DECODER)
    for example, row, target in zip(found.examples, found.rows, found.targets, strict=True):
        assert row[0] == 300 and BYTES.decode(row[1:]) == example.input
        assert target[-1] == 1 and BYTES.decode(target) == f" {example.target}"
    # The longest of the choices, " green", its end, and one more that makes it another word.
    assert found.decoding == Greedy(max_tokens=8) and found.name == "colours"
    ranked = prepared(task, DECODER, rank=True)
    assert [BYTES.decode(ids) for ids in ranked.choices[0]] == [" red", " green", " blue"]
    assert all(ids[-1] != 1 for ids in ranked.choices[0])
    assert prepare(task, Judging(), BYTES).identity != found.identity != ranked.identity


def test_a_prompt_of_solved_examples_goes_on_in_a_line_of_its_own(task):
    found = prepared(task, DECODER, shots=2, inputs_length=400)
    assert BYTES.decode(found.rows[0][1:]) == found.examples[0].input + "\n"
    assert BYTES.decode(found.targets[0]) == found.examples[0].target
    assert found.decoding.stop == ("\n",)


def test_an_encoder_alone_chooses_at_masks(task):
    found = prepared(task, ENCODER)
    assert found.ranked and found.decoding is None and found.name == "colours"
    for example, row in zip(found.examples, found.rows, strict=True):
        assert BYTES.decode(row) == example.input
    assert [BYTES.decode(ids) for ids in found.choices[0]] == [" red", " green", " blue"]


def test_inputs_are_cut_to_the_positions_there_are(task):
    few = dataclasses.replace(ENCODER, learned_positions=32)  # the first two are none of a text's
    found = prepared(task, few)
    assert found.truncated > 0 and max(map(len, found.rows)) == 30 - 2 - len(" green")
    few = dataclasses.replace(FAMILIES["gpt2"], learned_positions=30, vocab_size=384)
    found = prepared(task, few)
    assert found.truncated > 0 and max(map(len, found.rows)) == 30 + 1 - found.decoding.max_tokens
    with pytest.raises(
        UserError, match=r"colours: answers of 40 tokens leave nothing of .* 30 pos"
    ):
        prepared(task, few, targets_length=40)


def test_what_an_encoder_alone_cannot_answer_is_refused(task, tmp_path):
    free = dataclasses.replace(
        task, examples=lambda record, split: [Example(record["thing"], record["colour"], 0)]
    )
    with pytest.raises(
        UserError, match="colours: its answers are free text, and the model is an e"
    ):
        prepared(free, ENCODER)
    prepared(free, DECODER)
    text = TASK.replace('"macro_f1"', '"perplexity"')
    likely = load_task(str(write_task(tmp_path, text=text)))
    with pytest.raises(UserError, match="accuracy, perplexity need the likelihood"):
        prepared(likely, ENCODER)
    with pytest.raises(UserError, match="colours: beams=4 is for models that write"):
        prepared(task, ENCODER, beams=4)
    with pytest.raises(UserError, match=r"the model: the vocabulary has no \[MASK\]"):
        prepare(task, Judging(), ByteTokenizer(125), ENCODER)


def test_a_passage_of_lambada_does_not_end_with_its_word(tmp_path):
    path = tmp_path / "lambada_test_plain_text.txt"
    path.write_text("they walked all the way to the old harbour\n")
    found = prepared(TASKS["lambada"], DECODER, data=str(tmp_path))
    assert BYTES.decode(found.rows[0][1:]) == "they walked all the way to the old"
    assert BYTES.decode(found.targets[0], stop_at_eos=False) == " harbour"
    assert found.targets[0][-1] != 1 and found.scored
    assert prepare(TASKS["lambada"], Judging(data=str(tmp_path)), BYTES).targets[0][-1] == 1
    for written, word in ((" harbour, and", "harbour"), ("harbour", "harbour"), ("...", "...")):
        assert read_first_word(written, Example("", "harbour", "harbour")) == word
    assert read_first_word("U.S. troops", Example("", "U.S.", "U.S.")) == "U.S."
