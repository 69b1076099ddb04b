"""ERNIE 2.0's discourse relation: markers against words read one by one, from the store to the batch."""

import dataclasses
import gzip
import json
import re

import numpy as np
import pytest

from t2t.data import batches
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.marker_places import marker_places
from t2t.data.order import random_bits
from t2t.data.source_config import Prepared
from t2t.data.span_marks import CAPITAL, ID_BITS
from t2t.data.vocabulary import BEGINS_WORD, ENDS_SENTENCE
from t2t.errors import UserError
from t2t.objectives import ernie_tasks
from t2t.objectives.config import TASKS, ErnieTasks, Stage, WholeWords
from t2t.objectives.discourse_markers import MARKERS, spellings
from tests.objectives.real_text import books, pieces

CLS, SEP = 2, 3
EVEN = Stage(0, 0.2, 0.1, 0.1, 0.1, 0.1, 0.4)
CFG = ErnieTasks(64, WholeWords(), stages=(EVEN,))
CHARACTERS = 300_000


class MarkedStore:
    """A token store in memory, of tokens with marks."""

    kind, marked = "texts", True

    def __init__(self, documents, name="books"):
        self.tokens = np.concatenate(documents)
        self.offsets = np.cumsum([0, *map(len, documents)])
        self.num_tokens, self.num_documents = len(self.tokens), len(documents)
        self.fingerprint, self.ids = name, (self.tokens & ID_BITS).tolist()

    def read(self, starts, length, marks=False):
        rows = self.tokens[starts[:, None] + np.arange(length)]
        return rows if marks else rows & ID_BITS


class Pieces:
    """The tokenizer of `real_text`."""

    def __init__(self, facts, ids):
        self.vocabulary, self.ids = facts, ids

    def encode(self, texts):
        return [np.array([self.ids.get(p, 1) for p in pieces(text)]) for text in texts]


@pytest.fixture(scope="module")
def text(shared_data):
    """(vocabulary with markers, the store, each document's words, a marker's place -> which and size)."""
    path = shared_data / "corpora" / "books.validation.jsonl.gz"
    facts, documents = books(str(path))
    with gzip.open(path, "rt") as file:
        texts = [json.loads(line)["text"][:CHARACTERS] for line in file]
    of_texts, found, first = [], {}, 0
    ids = {}
    for document, tokens in zip(texts, documents, strict=True):
        own = pieces(document)
        ids |= dict(zip(own, tokens.tolist(), strict=False))
        upper = [piece[0].isupper() for piece in own] + [False]
        of_texts.append(tokens | np.where(upper, CAPITAL, 0).astype(np.int32))
        found |= {first + at: told for at, told in slow_markers(document).items()}
        first += len(tokens)
    spelled = spellings(Pieces(facts, ids), MARKERS)
    return dataclasses.replace(facts, markers=spelled), MarkedStore(of_texts), found


def slow_markers(document):
    """{place of its first piece: (marker, pieces)}, from the document's words."""
    words = re.findall(r"\w+|[^\w\s]", document)
    begin = np.cumsum([0, *(len(pieces(word)) for word in words)]).tolist()
    wanted = {(m[0].upper() + m[1:] + " ,"): k for k, m in enumerate(MARKERS)}
    found = {}
    for i in range(1, len(words)):
        if words[i - 1] not in (".", "!", "?", "…") or not words[i][0].isupper():
            continue
        for count in range(2, 7):
            said = " ".join(words[i : i + count])
            if said in wanted:
                found[begin[i]] = wanted[said], begin[min(i + count, len(words))] - begin[i]
    return found


def test_markers_stand_where_words_say_so(text):
    facts, store, slow = text
    for most, piece in ((1 << 27, 1 << 20), (1 << 27, 1000)):
        found = marker_places(store, (0, store.num_documents), facts, most, piece)
        told = zip(found.number.tolist(), found.size.tolist(), strict=True)
        assert dict(zip(found.at.tolist(), told, strict=True)) == slow
    assert len(slow) > 200 and len(set(slow.values())) > 40
    assert re.fullmatch(
        rf"{len(slow)} sentences begin .*, {len({k for k, _ in slow.values()})} different .* nats",
        found.describe(),
    )
    some = marker_places(store, (2, 5), facts)
    inside = [at for at in slow if store.offsets[2] <= at < store.offsets[5]]
    assert some.at.tolist() == inside
    sampled = marker_places(store, (0, store.num_documents), facts, 100_000, 1000)
    assert 0 < len(sampled.at) < len(slow) and set(sampled.at.tolist()) <= set(slow)


def samples_of(cfg, facts, *stores, order="shuffled", rows=16):
    corpora = tuple(Corpus(f"c{i}", Prepared("x")) for i in range(len(stores)))
    data = Data(Mixture(corpora), order=order, batch_size=rows)
    return batches.training_samples(data, stores, cfg, facts, 5, cache="")


def slow_sentences(facts, store, at, size, room):
    """The ids of both sentences around a marker: read from it to the left and to the right."""
    first, last = (
        int(store.offsets[np.searchsorted(store.offsets, at, side="right") - k]) for k in (1, 0)
    )
    ids = store.ids
    ends = lambda i: bool(facts.marks[ids[i]] & ENDS_SENTENCE)
    begins = lambda i: ids[i - 1] == SEP or (ends(i - 1) and facts.marks[ids[i]] & BEGINS_WORD)
    one, two = [], []
    for i in range(at - 1, max(first, at - room) - 1, -1):
        one.insert(0, ids[i])
        if begins(i):
            break
    for i in range(at + size, min(last, at + size + room)):
        if two and begins(i):
            break
        two.append(ids[i])
    while len(one) + len(two) > room:
        if len(one) > room // 2 and (len(one) > room - len(two)) and len(two) <= room - room // 2:
            one.pop(0)
        elif len(two) > room - room // 2 and len(one) <= room // 2:
            two.pop()
        else:  # both are longer than their half
            one, two = one[len(one) - room // 2 :], two[: room - room // 2]
    return one, two


@pytest.mark.parametrize("order", ["shuffled", "packed"])
def test_two_sentences_are_those_of_slow_code_and_drawn_evenly(text, order):
    facts, store, slow = text
    samples = samples_of(CFG, facts, store, order=order)
    numbers, places = np.arange(3000), sorted(slow)
    batch = samples.rows(numbers)
    examples = samples.examples(numbers)
    assert (examples.in_row == 1).all()  # books are long
    bits = random_bits(5, "train/marker", examples.number, 1)[:, 0]
    head = random_bits(5, "train", examples.number, 1)[:, 0]
    of, shown = batch["sentence_labels"]["discourse"], batch["encoder"]
    labels = of["targets"][:, 0]
    mine = head / 2.0**32 >= 0.6
    np.testing.assert_array_equal(of["weights"][:, 0] > 0, mine)
    np.testing.assert_array_equal(shown["tasks"][:, 0] == TASKS.index("discourse"), mine)
    assert not of["weights"][:, 1:].any() and not batch["weights"][mine].any()
    for row in np.flatnonzero(mine)[:400].tolist():
        at = places[int(bits[row]) * len(places) >> 32]
        one, two = slow_sentences(facts, store, at, slow[at][1], int(examples.lengths[row]))
        there = shown["segments"][row] > 0
        assert shown["tokens"][row][there].tolist() == [CLS, *one, SEP, *two, SEP]
        assert shown["types"][row][there].tolist() == [0] * (len(one) + 2) + [1] * (len(two) + 1)
        assert labels[row] == slow[at][0]
    near = lambda found, chance, among: (
        abs(found - chance * among) < 4 * np.sqrt(among * chance * (1 - chance))
    )
    assert near(mine.sum(), 0.4, len(mine))
    all_labels = np.bincount([k for k, _ in slow.values()], minlength=len(MARKERS)) / len(slow)
    counts = np.bincount(labels[mine], minlength=len(MARKERS))
    for k in np.flatnonzero(all_labels > 0.02):
        assert near(counts[k], all_labels[k], mine.sum())
    assert not counts[all_labels == 0].any()
    # A sample is what it is, whatever stands beside it.
    again = samples.rows(numbers[100:116])
    np.testing.assert_array_equal(again["encoder"]["tokens"], shown["tokens"][100:116])


def test_packed_examples_are_those_of_rows_of_their_own(text):
    facts, store, _ = text
    short = [store.tokens[i * 400 : i * 400 + 20 + i % 9] for i in range(600)]
    mixed = MarkedStore([*short, store.tokens[:8000]], "mixed")
    samples = samples_of(dataclasses.replace(CFG, length=128), facts, mixed, order="packed")
    numbers = np.arange(samples.corpora[0].rows)
    examples, batch = samples.examples(numbers), samples.rows(numbers)
    assert examples.in_row.max() > 2
    first, seen = np.cumsum(examples.in_row) - examples.in_row, 0
    alone = samples._text_batch(
        examples._replace(
            corpus=np.zeros(len(examples.starts), np.int64),
            epoch=np.repeat(examples.epoch, examples.in_row),
            in_row=np.ones(len(examples.starts), np.int64),
        ),
        np.repeat(numbers, examples.in_row),
    )
    for row in np.flatnonzero(examples.in_row > 1).tolist():
        for k in range(int(examples.in_row[row])):
            one = int(first[row]) + k
            here = batch["encoder"]["segments"][row] == k + 1
            own = alone["encoder"]["segments"][one] > 0
            for name in ("tokens", "types", "tasks", "positions"):
                np.testing.assert_array_equal(
                    batch["encoder"][name][row][here], alone["encoder"][name][one][own]
                )
            packed, single = (b["sentence_labels"]["discourse"] for b in (batch, alone))
            assert packed["weights"][row, k] == single["weights"][one, 0]
            assert packed["targets"][row, k] == single["targets"][one, 0]
            seen += int(single["weights"][one, 0])
    assert seen > 50


def test_where_no_marker_is_masked_tokens_are_predicted(text):
    facts, store, _ = text
    bare = MarkedStore(
        [store.tokens[:20_000] & ID_BITS, store.tokens[20_000:40_000] & ID_BITS], "b"
    )
    with pytest.raises(UserError, match="no sentence begins with one of config.objective.markers"):
        samples_of(CFG, facts, bare)
    samples = samples_of(CFG, facts, store, bare)
    batch = samples.rows(np.arange(2000))
    corpus = samples.examples(np.arange(2000)).corpus
    tasks = batch["encoder"]["tasks"][:, 0]
    assert (tasks[corpus == 0] == 5).any() and not (tasks[corpus == 1] == 5).any()
    known = (tasks[corpus == 1] == 0).mean()
    assert abs(known - 0.6) < 4 * np.sqrt(0.24 / (corpus == 1).sum())


def test_columns_follow_from_the_tasks():
    plain = ErnieTasks(64)
    assert max(end for _, end in ernie_tasks.sentence_tasks(plain).values()) == 12
    assert ernie_tasks.sentence_tasks(CFG)["discourse"] == (12, 12 + len(MARKERS))
    for change, match in (
        ({"markers": ("so", "so")}, "markers: not two or more different"),
        ({"markers": ("so", " yet")}, r"markers\[1\]: ' yet' is no words"),
    ):
        with pytest.raises(UserError, match=match):
            dataclasses.replace(CFG, **change).check("objective")
