"""ERNIE 1.0's units: spans of a segmenter from JSONL to the masks, against slow code and counted."""

import functools
import json

import numpy as np
import pytest

from t2t.data import prepare, sources
from t2t.data.order import random_bits
from t2t.data.source_config import Jsonl
from t2t.data.span_marks import CAPITAL, ID_BITS, IN_ENTITY, IN_PHRASE
from t2t.data.subword_tokenizer import SubwordTokenizer, wordpiece
from t2t.data.vocabulary import BEGINS_WORD
from t2t.errors import UserError
from t2t.objectives import masked_lm
from t2t.objectives.config import ExternalSpans, MaskedLM
from tests.objectives.real_text import books

CLS, SEP, MASK = 2, 3, 4
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"abcdefgh",
    *(f"##{c}" for c in "abcdefgh"),
]


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / "tokenizer.json"
    wordpiece({p: i for i, p in enumerate(PIECES)}, PIECES[:5], True).save(str(path))
    return SubwordTokenizer(str(path))


def write(path, *documents):
    path.write_text("\n".join(json.dumps(one) for one in documents))
    return Jsonl((str(path),), spans="spans")


def test_spans_of_characters_become_marks_of_tokens(tmp_path, tokenizer):
    spans = [[0, 4, "phrase"], [5, 9, "phrase"], [0, 2, "entity"], [8, 9, "entity"]]
    source = write(
        tmp_path / "a.jsonl", {"text": "ab C dE f", "spans": spans}, {"text": "h", "spans": []}
    )
    store = prepare.prepare(source, tokenizer, str(tmp_path / "store"), progress=False)
    tokens = [PIECES.index(p) for p in ("a", "##b", "c", "d", "##e", "f", "h")]
    rows = store.read(np.array([0]), 7, marks=True)[0]
    assert (rows & ID_BITS).tolist() == tokens == store.read(np.array([0]), 7)[0].tolist()
    assert (rows & IN_PHRASE > 0).tolist() == [False, True, True, False, True, True, False]
    assert (rows & IN_ENTITY > 0).tolist() == [False, True, *[False] * 5]
    assert (rows & CAPITAL > 0).tolist() == [False, False, True, False, True, False, False]
    assert store.marked and store.offsets.tolist() == [0, 6, 7]
    plain = prepare.prepare(Jsonl(source.paths), tokenizer, str(tmp_path / "plain"), progress=False)
    assert plain.read(np.array([0]), 7)[0].tolist() == tokens
    assert plain.fingerprint != store.fingerprint and not plain.marked


def test_a_source_without_spans_has_the_fingerprint_it_always_had(tmp_path):
    source = write(tmp_path / "a.jsonl", {"text": "ab", "spans": []})
    assert sources.fingerprint(source) != sources.fingerprint(Jsonl(source.paths))


@pytest.mark.parametrize(
    ("spans", "match"),
    [
        ([[0, 9, "phrase"]], r"a.jsonl:1: field 'spans': \[0, 9, 'phrase'\] is no part"),
        ([[0, 1, "word"]], "is not .begin, end"),
        ([[True, 1, "phrase"]], "is not .begin, end"),
        ("0 1", "field 'spans' is no list"),
    ],
)
def test_spans_that_are_none_are_named(tmp_path, tokenizer, spans, match):
    source = write(tmp_path / "a.jsonl", {"text": "ab", "spans": spans})
    with pytest.raises(UserError, match=match):
        prepare.prepare(source, tokenizer, str(tmp_path / "store"), progress=False)


@pytest.fixture(scope="module")
def text(shared_data):
    """Real text whose phrases are three words and whose entities two words, where they fall."""
    facts, documents = books(str(shared_data / "corpora" / "books.validation.jsonl.gz"))
    tokens = np.concatenate(documents)[:200_000]
    word = np.cumsum(np.frombuffer(facts.marks, np.uint8)[tokens] & BEGINS_WORD > 0)
    same = lambda size: np.concatenate([[False], (word // size)[1:] == (word // size)[:-1]])
    phrase = same(3) & (word // 3 % 4 < 3)
    entity = same(2) & (word // 2 % 4 < 1)
    return facts, tokens | phrase * IN_PHRASE | entity * IN_ENTITY


def make(cfg, facts, tokens, count):
    size = masked_lm.raw_length(cfg)
    number = np.arange(count)
    draw = functools.partial(random_bits, 7, "test", number)
    sizes, rows = np.full(count, size), np.ones(count, np.int64)
    return masked_lm.make_packed_batch(cfg, facts, tokens, number * size, sizes, rows, draw, True)


def slow(cfg, facts, tokens, number):
    """One example, unit by unit: (ids with masks, {place: what stood there})."""
    width = cfg.length
    (bits,) = random_bits(7, "test", np.array([number]), 4 + 4 * width + 1)
    order, _, kind, token = bits[4:-1].reshape(4, width)
    level, unit = int(bits[-1]) / 2.0**32, cfg.unit
    bit = 0 if level < unit.basic else IN_PHRASE if level < unit.basic + unit.phrase else IN_ENTITY
    row, units = [CLS, *map(int, tokens), SEP], []
    for place, one in enumerate(row[1:-1], start=1):
        begins = facts.marks[one & ID_BITS] & BEGINS_WORD and not one & bit
        if (one & ID_BITS) <= 4:  # a special token belongs to no unit
            continue
        if begins or (row[place - 1] & ID_BITS) <= 4:
            units.append([])
        units[-1].append(place)
    room, found = int(masked_lm.lengths_for(cfg, len(tokens))[1]), {}
    taken, ids = 0, [one & ID_BITS for one in row]
    ordinary = [i for i in range(facts.size) if not facts.marks[i] & 4]
    for number, places in enumerate(units):
        if int(order[number]) / 2.0**32 >= cfg.rate:
            continue
        taken += len(places)
        if taken > room:
            continue
        for place in places:
            found[place] = ids[place]
            chance = int(kind[place]) / 2.0**32
            if chance < cfg.masked:
                ids[place] = MASK
            elif chance < cfg.masked + cfg.random:
                ids[place] = ordinary[int(token[place]) * len(ordinary) >> 32]
    return ids, found


def test_it_is_the_slow_one(text):
    facts, tokens = text
    cfg = MaskedLM(64, unit=ExternalSpans(0.2, 0.4, 0.4))
    batch, size = make(cfg, facts, tokens, 60), masked_lm.raw_length(cfg)
    for number in range(60):
        ids, found = slow(cfg, facts, tokens[number * size :][:size], number)
        assert batch["encoder"]["tokens"][number].tolist() == ids
        weights = batch["weights"][number] > 0
        places = batch["places"][number][weights].tolist()
        targets = batch["targets"][number][weights].tolist()
        assert dict(zip(places, targets, strict=True)) == found


def test_units_are_drawn_at_the_rate_and_whole(text):
    facts, tokens = text
    marks = np.frombuffer(facts.marks, np.uint8)
    for unit, bit in (
        (ExternalSpans(1, 0, 0), 0),
        (ExternalSpans(0, 1, 0), IN_PHRASE),
        (ExternalSpans(0, 0, 1), IN_ENTITY),
    ):
        cfg = MaskedLM(128, unit=unit)
        batch, size = make(cfg, facts, tokens, 1500), masked_lm.raw_length(cfg)
        chosen = np.zeros((1500, 128), bool)
        row, at = np.nonzero(batch["weights"])
        chosen[row, batch["places"][row, at]] = True
        read = tokens[: 1500 * size].reshape(1500, size)
        ordinary = (read & ID_BITS) > 4
        begins = ordinary & (marks[read & ID_BITS] & BEGINS_WORD > 0) & (read & bit == 0)
        begins[:, 0] |= ordinary[:, 0]
        chosen = chosen[:, 1:-1]
        drawn, all_of = int((chosen & begins).sum()), int(begins.sum())
        assert abs(drawn - 0.15 * all_of) < 4 * np.sqrt(all_of * 0.15 * 0.85) + 0.002 * all_of
        goes_on = ordinary[:, 1:] & ~begins[:, 1:] & ordinary[:, :-1]
        assert (chosen[:, 1:] == chosen[:, :-1])[goes_on].all()
        shown = batch["encoder"]["tokens"][:, 1:-1]
        masked = (shown[chosen] == MASK).mean()
        assert abs(masked - 0.8) < 4 * np.sqrt(0.16 / chosen.sum())
