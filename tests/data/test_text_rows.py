"""Examples of two texts and a label in a store: every one once an epoch, packed and one a row, cut together."""

import dataclasses

import numpy as np
import pytest

from t2t.data import batches
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.inspect import inspect_lines
from t2t.data.pairs import of
from t2t.data.prepare import prepare
from t2t.data.source_config import Task
from t2t.data.tokenizer_config import Bytes
from t2t.data.tokenizers import ByteTokenizer
from t2t.errors import UserError
from t2t.objectives.classes import with_labels
from t2t.objectives.classes_config import Classified
from t2t.objectives.config import TextToText
from tests.objectives.test_framing import longest_first

LABELS = ("no", "yes")
TOKENIZER = ByteTokenizer(extra_ids=100)
CLS, SEP = 300, 301
TOKENIZER.vocabulary = with_labels(
    dataclasses.replace(TOKENIZER.vocabulary, cls_id=CLS, sep_id=SEP),
    LABELS,
    TOKENIZER.encode(LABELS),
)
LENGTH = 40
OBJECTIVE = Classified(LABELS, LENGTH, types=True)
RNG = np.random.default_rng(0)
TWO = [
    (f"{i} " + "a" * RNG.integers(0, 30), "b" * RNG.integers(0, 30), LABELS[i % 2])
    for i in range(50)
]
ONE = [(f"{i} " + "a" * RNG.integers(0, 50), LABELS[i % 2]) for i in range(50, 70)]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    return [
        prepare(of(name, lambda rows=rows: rows), Bytes(), str(folder / name), progress=False)
        for name, rows in (("two", TWO), ("one", ONE))
    ]


def samples_of(stores, order, objective=OBJECTIVE):
    corpora = tuple(
        Corpus(name, Task("t")) for name, _ in zip(("two", "one"), stores, strict=False)
    )
    data = Data(Mixture(corpora), batch_size=8, order=order)
    return batches.training_samples(data, stores, objective, TOKENIZER.vocabulary, 0, cache="")


def cut(example) -> tuple[str, ...]:
    *texts, label = example
    if len(texts) == 1:
        return texts[0][: LENGTH - 2], label
    sizes = longest_first(*map(len, texts), LENGTH - 3)
    return *(text[:size] for text, size in zip(texts, sizes, strict=True)), label


def shown(batch) -> list[tuple[str, ...]]:
    """What stands in the rows of a batch, decoded, in order; checks frames and types."""
    found = []
    for row, segments in enumerate(batch["encoder"]["segments"]):
        for number in range(1, int(segments.max(initial=0)) + 1):
            mine = segments == number
            tokens, types = (batch["encoder"][name][row][mine] for name in ("tokens", "types"))
            assert batch["summaries"][row, number - 1] == np.flatnonzero(mine)[0]
            assert tokens[0] == CLS and tokens[-1] == SEP
            ends = np.flatnonzero(tokens == SEP)
            second = np.arange(len(tokens)) > ends[0]
            np.testing.assert_array_equal(types, second)
            texts = np.split(tokens[1:], ends - 1)
            texts = [TOKENIZER.decode(text[text != SEP]) for text in texts[: len(ends)]]
            found.append((*texts, LABELS[batch["targets"][row, number - 1]]))
    return found


@pytest.mark.parametrize("order", ["shuffled", "packed"])
def test_every_example_stands_once_in_an_epoch_cut_together(stores, order):
    samples = samples_of(stores[:1], order)
    rows = samples.corpora[0].rows
    assert rows == 50 if order == "shuffled" else rows < 50
    assert sorted(shown(samples.rows(np.arange(rows)))) == sorted(map(cut, TWO))
    over = sum(cut(one) != one for one in TWO)
    assert samples.corpora[0].pairs.truncated() == (over, 0) and over > 3
    samples.corpora[0].pairs.check_spelling("two", TOKENIZER.vocabulary.unk_id)


def test_one_text_stands_beside_two(stores):
    found = {
        one for step in range(60) for one in shown(samples_of(stores, "packed").batch_at(step))
    }
    assert found == {*map(cut, TWO), *map(cut, ONE)}


def test_the_lines_say_what_is_cut(stores):
    samples = samples_of(stores[:1], "packed")
    lines = inspect_lines(samples, TOKENIZER, 1, rows=8)
    places = [line.split(": ")[1] for line in lines if line.startswith("  example ")]
    assert "50 pairs of texts with targets, " in "\n".join(lines)
    for place, one in zip(places, shown(samples.batch_at(1)), strict=True):
        whole = TWO[int(place.split()[1])]
        assert cut(whole) == one
        for name, long, short in zip(("first", "second"), whole, one, strict=False):
            said = f"the {name} text is cut from {len(long)} tokens to {len(short)}" in place
            assert said == (long != short)


def test_two_separators_take_their_place_in_a_plan(stores):
    wide = samples_of(stores[:1], "packed", dataclasses.replace(OBJECTIVE, separators=2))
    batch = wide.rows(np.arange(wide.corpora[0].rows))
    assert (batch["encoder"]["tokens"] == SEP).sum() == 3 * 50
    assert not batch["encoder"]["types"].any()


def test_words_are_not_asked_of_two_texts(stores):
    with pytest.raises(UserError, match=r"corpus 'two': .* holds inputs that are two texts each"):
        samples_of(stores[:1], "packed", TextToText(40, 8))
