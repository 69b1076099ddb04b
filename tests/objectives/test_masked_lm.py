"""Masked language modelling against slow, readable BERT and ALBERT, and counted on real text."""

import dataclasses
import functools
import math

import numpy as np
import pytest

from t2t.data.order import random_bits
from t2t.data.vocabulary import BEGINS_WORD, ENDS_SENTENCE, SPECIAL
from t2t.errors import UserError
from t2t.objectives import masked_lm, masking
from t2t.objectives.config import MaskedLM, NGrams, Tokens, WholeWords
from tests.objectives.laid_examples import laid_examples
from tests.objectives.real_text import books

CLS, SEP, MASK = 2, 3, 4


@pytest.fixture(scope="module")
def text(shared_data):
    """(vocabulary, flat tokens, the documents' ends)."""
    facts, documents = books(str(shared_data / "corpora" / "books.validation.jsonl.gz"))
    tokens = np.concatenate(documents)
    counts = np.bincount(tokens, minlength=facts.size).astype(np.float64)
    facts = dataclasses.replace(facts, counts=counts.tobytes())
    return facts, tokens, np.cumsum([len(d) for d in documents])


def make(cfg, facts, tokens, starts, sizes, in_row=None, number=None, other=None, full=False):
    cfg.check("objective")
    number = np.arange(len(starts)) if number is None else number
    in_row = np.ones(len(starts), np.int64) if in_row is None else np.asarray(in_row)
    draw = functools.partial(random_bits, 7, "test", number)
    starts, sizes = np.asarray(starts), np.asarray(sizes)
    return masked_lm.make_packed_batch(
        cfg, facts, tokens, starts, sizes, in_row, draw, full, *([] if other is None else [other])
    )


def share(bits):
    return int(bits) / 2.0**32


def pick(bits, limit):
    return int(bits) * limit >> 32


def slow(cfg, facts, tokens, other, number):
    """One example as BERT's and ALBERT's create_pretraining_data.py make it, from the same draws.

    Returns (ids, types, {place: what stood there}, label).
    """
    width = cfg.length
    (bits,) = random_bits(7, "test", np.array([number]), 4 + 4 * width)
    head, order, length, kind, token = bits[:4], *bits[4:].reshape(4, width)
    tokens, marks = list(map(int, tokens)), facts.marks
    if cfg.short_share and share(head[0]) < cfg.short_share and len(tokens) > 2:
        tokens = tokens[: 2 + pick(head[1], len(tokens) - 1)]
    label = None
    if cfg.pairs == "none":
        ids, types = [CLS, *tokens, SEP], None
    else:
        cuts = [
            i
            for i in range(1, len(tokens))
            if tokens[i - 1] == SEP
            or (marks[tokens[i - 1]] & ENDS_SENTENCE and marks[tokens[i]] & BEGINS_WORD)
        ]
        at = cuts[pick(head[2], len(cuts))] if cuts else len(tokens) // 2
        a, b, label = tokens[:at], tokens[at:], 0
        if share(head[3]) >= 0.5:
            if cfg.pairs == "sentence_order":
                a, b, label = b, a, 1
            elif len(other):
                b, label = list(map(int, other[: len(b)])), 1
        ids = [CLS, *a, SEP, *b, SEP]
        types = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    budget = max(1, round(len(ids) * cfg.rate))
    budget = min(budget, masked_lm.lengths(cfg)[1])

    units = []
    for i, one in enumerate(ids):
        if marks[one] & SPECIAL:
            continue
        new = isinstance(cfg.unit, Tokens) or marks[one] & BEGINS_WORD
        new = new or i == 0 or marks[ids[i - 1]] & SPECIAL
        units.append([i]) if new else units[-1].append(i)
    longest = cfg.unit.longest
    covered, most = [], budget
    counts = np.frombuffer(facts.counts)

    def key(u):
        if not cfg.rarity:
            return int(order[u])
        weight = max(1.0, counts[ids[units[u][0]]]) ** -cfg.rarity
        return -math.log((int(order[u]) + 0.5) / 2**32) / weight

    for u in sorted(range(len(units)), key=key):
        if len(covered) >= most:
            break
        available = min(longest, len(units) - u)
        weights = [1 / n for n in range(1, available + 1)]
        n = 1
        while n < available and share(length[u]) >= sum(weights[:n]) / sum(weights):
            n += 1
        while n > 1 and len(covered) + sum(map(len, units[u : u + n])) > most:
            n -= 1
        places = [i for unit in units[u : u + n] for i in unit]
        if len(covered) + len(places) > most or set(places) & set(covered):
            continue
        covered += places
    ordinary = [i for i in range(facts.size) if not marks[i] & SPECIAL]
    stood = {}
    for i in sorted(covered):
        stood[i] = ids[i]
        if share(kind[i]) < cfg.masked:
            ids[i] = MASK
        elif share(kind[i]) < cfg.masked + cfg.random:
            ids[i] = ordinary[pick(token[i], len(ordinary))]
    return ids, types, stood, label


def examples_of(batch, in_row):
    """The examples of a batch as `slow` gives them."""
    found = []
    for row, number, places, encoder, stood in laid_examples(batch, in_row):
        if "positions" in encoder:
            assert encoder["positions"].tolist() == list(range(len(places)))
        types = encoder["types"].tolist() if "types" in encoder else None
        label = None
        if "pairs" in batch:
            pairs = {k: v[row] for k, v in batch["pairs"].items()}
            assert pairs["places"][number - 1] == places[0]
            assert pairs["weights"].sum() == in_row[row]
            label = int(pairs["targets"][number - 1])
        found.append((encoder["tokens"].tolist(), types, stood, label))
    return found


SETTINGS = [
    MaskedLM(64),
    MaskedLM(64, predictions=5, masked=0.85, random=0.0),
    MaskedLM(64, unit=WholeWords(), rate=0.25),
    MaskedLM(64, rarity=0.7),
    MaskedLM(64, unit=NGrams(3), pairs="sentence_order"),
    MaskedLM(64, unit=NGrams(5), pairs="next_sentence", short_share=0.5),
]


@pytest.mark.parametrize("cfg", SETTINGS)
def test_equals_a_slow_readable_one_packed_and_not(cfg, text):
    facts, tokens, ends = text
    rng = np.random.default_rng(0)
    most = masked_lm.raw_length(cfg)
    sizes = rng.integers(2, 19, 48)
    sizes[::3] = most
    starts = rng.integers(0, len(tokens) - most, 48)
    other = rng.integers(0, len(tokens) - most, 48), np.minimum(rng.integers(1, most, 48), sizes)
    other = other if cfg.pairs == "next_sentence" else None
    expected = []
    for e in range(48):
        more = () if other is None else tokens[other[0][e] : other[0][e] + other[1][e]]
        expected.append(slow(cfg, facts, tokens[starts[e] : starts[e] + sizes[e]], more, e))
    alone = make(cfg, facts, tokens, starts, sizes, other=other)
    assert examples_of(alone, [1] * 48) == expected
    # One full example in a row, then two short ones: the very same examples.
    in_row = [1, 2] * 16
    assert (
        examples_of(make(cfg, facts, tokens, starts, sizes, in_row, other=other), in_row)
        == expected
    )


def sigma(count, p):
    return math.sqrt(p * (1 - p) / count)


def counted(cfg, text, rows=400, **more):
    facts, tokens, ends = text
    raw = masked_lm.raw_length(cfg)
    starts = np.arange(rows) * raw
    batch = make(
        cfg, facts, tokens, starts, np.full(rows, raw), full=masked_lm.always_full(cfg), **more
    )
    return batch, np.stack([tokens[s : s + raw] for s in starts])


def test_rare_tokens_are_drawn_as_often_as_the_law_says(text):
    """Of four tokens that stand 1, 10, 100 and 1,000 times in the text one is predicted."""
    facts = text[0]
    four = np.flatnonzero(np.frombuffer(facts.marks, np.uint8) & SPECIAL == 0)[:4].astype(np.int32)
    counts = np.zeros(facts.size)
    counts[four] = 1, 10, 100, 1000
    facts = dataclasses.replace(facts, counts=counts.tobytes())
    rows = 20_000
    cfg = MaskedLM(16, predictions=1, rarity=0.7)
    batch = make(cfg, facts, four, np.zeros(rows, np.int64), np.full(rows, 4))
    drawn = (batch["targets"][:, :1] == four).mean(axis=0)
    law = counts[four] ** -0.7 / (counts[four] ** -0.7).sum()
    assert drawn.sum() == pytest.approx(1.0)
    for found, expected in zip(drawn, law, strict=True):
        assert abs(found - expected) < 4 * sigma(rows, expected)


def test_shares_on_real_text(text):
    """Bert: 15 % of 128 tokens are 19, of which 80 / 10 / 10 % become [MASK], random, themselves."""
    cfg = MaskedLM(128)
    batch, raw = counted(cfg, text)
    assert masked_lm.lengths(cfg) == (128, 19) and masked_lm.lengths(MaskedLM(512)) == (512, 77)
    assert set(batch["encoder"]) == {"tokens"} and batch["encoder"]["tokens"].shape == (400, 128)
    special = (raw == SEP).sum()
    assert (batch["weights"].sum(axis=1) == 19).all()
    shown = np.take_along_axis(batch["encoder"]["tokens"], batch["places"], axis=1)
    n = shown.size
    assert abs((shown == MASK).mean() - 0.8) < 4 * sigma(n, 0.8)
    # A random token is the same as before once in thousands of times.
    same = (shown == batch["targets"]).mean()
    assert abs(same - 0.1) < 4 * sigma(n, 0.1) + 1e-3
    random = shown[(shown != MASK) & (shown != batch["targets"])]
    assert len(set(random.tolist())) > 0.9 * min(len(random), text[0].size) * (1 - math.exp(-1))
    assert random.min() > MASK
    # Every place alike: the first half of a row as often as the second.
    assert abs((batch["places"] < 64).mean() - 0.5) < 4 * sigma(n, 0.5) + special / raw.size
    assert not np.isin(batch["targets"], (CLS, SEP)).any()
    # What is not predicted stays as it was.
    rows = np.concatenate([np.full((400, 1), CLS), raw, np.full((400, 1), SEP)], axis=1)
    np.put_along_axis(rows, batch["places"], shown, axis=1)
    np.testing.assert_array_equal(rows, batch["encoder"]["tokens"])


def test_whole_words_are_masked_whole(text):
    facts = text[0]
    batch, _ = counted(MaskedLM(128, unit=WholeWords(), masked=1.0, random=0.0), text)
    begins = np.frombuffer(facts.marks, np.uint8) & BEGINS_WORD > 0
    for row in range(50):
        places = batch["places"][row][batch["weights"][row] > 0]
        whole = batch["encoder"]["tokens"][row].copy()
        whole[places] = batch["targets"][row][: len(places)]
        for place in places.tolist():
            if place > 1 and not begins[whole[place]]:
                assert place - 1 in places, "a piece without the one before it"
            if place + 1 < 128 and not begins[whole[place + 1]]:
                assert place + 1 in places, "a piece without the one behind it"
    # The same budget as of single tokens, as far as words fit it.
    assert batch["weights"].sum(axis=1).max() == 19 and batch["weights"].sum() > 0.98 * 19 * 400


def test_lengths_of_n_grams_follow_their_law():
    """ALBERT, equation 1: p(n) = (1 / n) / sum over k of 1 / k; at the end of a row of what fits."""
    examples, width = 20_000, 400
    all_of = np.ones((examples, width), bool)
    length = random_bits(0, "length", np.arange(examples), width)
    for first, law in ((10, [6 / 11, 3 / 11, 2 / 11]), (width - 2, [2 / 3, 1 / 3])):
        order = random_bits(0, "order", np.arange(examples), width)
        order[:, first] = 0  # is tried first
        budget = np.full(examples, 3)
        chosen = masking.choose(all_of, all_of, budget, 3, order, length)
        assert (chosen.sum(axis=1) == 3).all()
        run = np.argmin(np.pad(chosen[:, first:], ((0, 0), (0, 1))), axis=1)
        for n, p in enumerate(law, 1):
            # Another n-gram begins just behind it once in width / 3 times.
            assert abs((run == n).mean() - p) < 4 * sigma(examples, p) + 4 / width


def test_n_grams_of_real_words_follow_the_law(text):
    """The first n-gram that is tried in rows of a book, told by a budget for it alone: whole words, one,
    two or three in 6 : 3 : 2 where three fit the budget and the row."""
    facts, tokens, _ = text
    marks, width, examples = np.frombuffer(facts.marks, np.uint8), 64, 6000
    rows = tokens[: examples * width].reshape(examples, width)
    maskable = marks[rows] & SPECIAL == 0
    begins = maskable & (marks[rows] & BEGINS_WORD > 0)
    begins[:, 0] = maskable[:, 0]
    begins[:, 1:] |= maskable[:, 1:] & ~maskable[:, :-1]
    unit = np.cumsum(begins, axis=1) - 1
    first = 5  # is tried first, with at least three units to the end of any row of these
    size = np.stack([((unit == first + k) & maskable).sum(axis=1) for k in range(3)], axis=1)
    reach = np.cumsum(size, axis=1)
    order, length = (
        random_bits(0, name, np.arange(examples), width) for name in ("order", "length")
    )
    order[:, first] = 0
    enough = (size > 0).all(axis=1)
    chosen = masking.choose(begins, maskable, reach[:, 2], 3, order, length)
    words = np.zeros(examples, int)
    for k in range(3):
        inside = (unit == first + k) & maskable
        taken = (chosen & inside).sum(axis=1)
        assert ((taken == 0) | (taken == inside.sum(axis=1)))[enough].all()  # whole words
        words += (words == k) & (taken > 0)
    # What the first leaves of the budget others take: rarely just the word behind it, once in some 30.
    law, n = np.array([6, 3, 2]) / 11, enough.sum()
    found = np.array([(words[enough] == k).mean() for k in (1, 2, 3)])
    assert found.sum() == pytest.approx(1) and n > 0.95 * examples
    assert (np.abs(found - law) < 4 * np.sqrt(law * (1 - law) / n) + 0.04).all()
    drawn = length[np.arange(examples), first][enough] / 2.0**32
    wanted = 1 + (drawn >= 6 / 11) + (drawn >= 9 / 11)
    assert (words[enough] >= wanted).all()  # and behind it at most what others took
    alone = np.bincount(wanted, minlength=4)[1:] / n
    assert (np.abs(alone - law) < 4 * np.sqrt(law * (1 - law) / n)).all()


@pytest.mark.parametrize("pairs", ["next_sentence", "sentence_order"])
def test_pairs_are_balanced_and_cut_at_sentences(pairs, text):
    facts, tokens, ends = text
    cfg = MaskedLM(128, pairs=pairs, masked=0.0, random=0.0)
    raw = masked_lm.raw_length(cfg)
    other = np.arange(400) * raw + 400 * raw, np.full(400, raw)
    batch, rows = counted(cfg, text, other=other if pairs == "next_sentence" else None)
    label = batch["pairs"]["targets"][:, 0]
    assert abs(label.mean() - 0.5) < 4 * sigma(400, 0.5)
    at_sentences = 0
    for row, changed in enumerate(label.tolist()):
        shown, types = batch["encoder"]["tokens"][row], batch["encoder"]["types"][row]
        first = int(types.argmax()) - 2
        a, b = shown[1 : 1 + first].tolist(), shown[2 + first : raw + 2].tolist()
        if not changed:
            assert a + b == rows[row].tolist()
        elif pairs == "sentence_order":
            assert b + a == rows[row].tolist()
            a = b
        else:
            assert a == rows[row][:first].tolist()
            assert b == tokens[other[0][row] :][: len(b)].tolist()
        at_sentences += bool(facts.marks[a[-1]] & ENDS_SENTENCE or a[-1] == SEP)
    assert at_sentences > 0.95 * 400


def test_masks_are_dynamic_or_come_again():
    from t2t.objectives.implementations import luck

    number, start = np.array([5, 105, 205]), np.array([40, 40, 40])
    epoch = np.array([0, 1, 10])
    np.testing.assert_array_equal(luck(MaskedLM(), number, start, epoch), number)
    static = luck(MaskedLM(static_copies=10), number, start, epoch)
    assert static[0] == static[2] != static[1]


def test_a_vocabulary_without_a_mask_is_refused(text):
    from t2t.data.tokenizer_config import Bytes
    from t2t.data.tokenizers import load

    masked_lm.check_vocabulary(MaskedLM(), text[0])
    with pytest.raises(UserError, match=r"has no \[MASK\]; take Subwords"):
        masked_lm.check_vocabulary(MaskedLM(), load(Bytes()).vocabulary)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"length": 8}, "length: 8"),
        ({"rate": 1.0}, "rate: 1.0"),
        ({"masked": 0.8, "random": 0.3}, "shares 0.8 masked and 0.3 random"),
        ({"predictions": 600}, "predictions: 600"),
        ({"unit": NGrams(0)}, "unit.longest: 0"),
        ({"short_share": 1.5}, "short_share"),
        ({"rarity": 1.5}, "rarity: 1.5"),
        ({"rarity": 0.7, "unit": WholeWords()}, r"rarity: 0.7 needs objective.unit=Tokens"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, named):
    with pytest.raises(UserError, match=named):
        MaskedLM(**changes).check("objective")
