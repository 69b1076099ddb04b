"""ERNIE 2.0's IR relevance: pairs of texts beside running text, against their texts framed one by one."""

import dataclasses
import json

import numpy as np
import pytest

from t2t.data import batches, pairs, prepare
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl, Prepared, Task
from t2t.data.vocabulary import piece_marks
from t2t.errors import UserError
from t2t.objectives import ernie_tasks
from t2t.objectives.classes import with_labels
from t2t.objectives.config import ErnieTasks, Stage, WholeWords
from t2t.objectives.discourse_markers import MARKERS
from t2t.objectives.implementations import batch_shapes
from tests.objectives.test_external_spans import PIECES, tokenizer  # noqa: F401

CLS, SEP = 2, 3
LABELS = ("a", "b", "c")
CFG = ErnieTasks(32, WholeWords(), stages=(Stage(),), relevance=LABELS)
CORPORA = (
    Corpus("text", Prepared("x"), rate=3.0),
    Corpus("search", Task("t"), rate=1.0),
)


def texts_of(count):
    rng = np.random.default_rng(3)
    word = lambda most: "".join(rng.choice(list("abcdefgh"), int(rng.integers(1, most))))
    return [(word(20), word(30), LABELS[int(rng.integers(0, 3))]) for _ in range(count)]


@pytest.fixture
def stores(tmp_path, tokenizer):  # noqa: F811
    """(vocabulary, running text with spans, pairs, what the pairs are)."""
    path = tmp_path / "text.jsonl"
    line = json.dumps({"text": "Abc de. fgh ab cd " * 30, "spans": []})
    path.write_text("\n".join([line] * 9))
    make = lambda source, name: prepare.prepare(
        source, tokenizer, str(tmp_path / name), progress=False
    )
    found = texts_of(200)
    search = make(pairs.of("search", lambda: found), "search")
    text = make(Jsonl((str(path),), spans="spans"), "text")
    facts = dataclasses.replace(
        tokenizer.vocabulary, marks=piece_marks(PIECES, tokenizer.vocabulary)
    )
    return with_labels(facts, LABELS, tokenizer.encode(LABELS)), text, search, found


def framed(tokenizer, query, title, room):  # noqa: F811
    """[CLS] query [SEP] title [SEP], the longer cut, token by token; and the types."""
    one, two = (ids.tolist() for ids in tokenizer.encode([query, title]))
    longer = one if len(one) > len(two) else two  # stays so by one token
    while len(one) + len(two) > room - 3:
        (max(one, two, key=len) if len(one) != len(two) else two if longer is one else one).pop()
    return [CLS, *one, SEP, *two, SEP], [0] * (len(one) + 2) + [1] * (len(two) + 1)


@pytest.mark.parametrize("order", ["shuffled", "packed"])
def test_pairs_stand_beside_text(stores, tokenizer, order):  # noqa: F811
    facts, text, search, found = stores
    data = Data(Mixture(CORPORA), order=order, batch_size=8)
    samples = batches.training_samples(data, [text, search], CFG, facts, 0, cache="")
    wanted = {}
    for query, title, label in found:
        ids, types = framed(tokenizer, query, title, 32)
        wanted.setdefault(tuple(ids), []).append((types, LABELS.index(label)))
    rows = samples.corpora[1].rows
    numbers = np.arange(4 * rows)
    batch, examples = samples.rows(numbers), samples.examples(numbers)
    assert (examples.corpus == 1).sum() == rows  # a quarter, as the rates say
    told = batch_shapes(CFG, len(numbers), False)
    shapes = lambda one, of: (
        {k: shapes(v, of[k]) for k, v in one.items()} if isinstance(one, dict) else of(one)
    )
    assert batch.keys() == told.keys() and batch["sentence_labels"].keys() == {
        "reordering",
        "distance",
        "relevance",
    }
    seen = []
    relevance = batch["sentence_labels"]["relevance"]
    for row in range(len(numbers)):
        if examples.corpus[row] == 0:
            assert not relevance["weights"][row].any()
            assert not (batch["encoder"]["tasks"][row] == 6).any()
            continue
        assert not batch["weights"][row].any()
        for name in ("capital", "relation"):
            assert not batch["token_labels"][name]["weights"][row].any()
        segments = batch["encoder"]["segments"][row]
        assert relevance["weights"][row].sum() == segments.max() == examples.in_row[row]
        for k in range(int(segments.max())):
            here = segments == k + 1
            assert set(batch["encoder"]["tasks"][row][here]) == {6}
            ids = tuple(batch["encoder"]["tokens"][row][here].tolist())
            types = batch["encoder"]["types"][row][here].tolist()
            assert relevance["places"][row, k] == np.flatnonzero(here)[0]
            assert (types, relevance["targets"][row, k]) in wanted[ids]
            seen.append(ids)
    # All of them, once.
    assert sorted(seen) == sorted(ids for ids, of in wanted.items() for _ in of)
    assert (order == "packed") == (examples.in_row[examples.corpus == 1].max() > 1)


def test_what_is_no_pair_of_texts_is_refused(stores, tokenizer, tmp_path):  # noqa: F811
    facts, text, *_ = stores
    alone = pairs.of("alone", lambda: [("abc", "a")])
    single = prepare.prepare(alone, tokenizer, str(tmp_path / "alone"), progress=False)
    data = Data(Mixture(CORPORA), batch_size=8)
    with pytest.raises(UserError, match="an example has one text, and relevance"):
        batches.training_samples(data, [text, single], CFG, facts, 0, cache="")
    with pytest.raises(UserError, match="relevance: .* are not two or more different labels"):
        dataclasses.replace(CFG, relevance=("a", "a")).check("objective")


def test_columns_stand_behind_those_of_the_tasks_before():
    assert ernie_tasks.sentence_tasks(CFG)["relevance"] == (12, 15)
    both = dataclasses.replace(CFG, stages=(Stage(0, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1),))
    columns = ernie_tasks.sentence_tasks(both)
    assert columns["discourse"] == (12, 12 + len(MARKERS))
    assert columns["relevance"] == (12 + len(MARKERS), 15 + len(MARKERS))
