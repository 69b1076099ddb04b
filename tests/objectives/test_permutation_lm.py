"""Permutation language modelling against a slow, readable XLNet, and counted on real text."""

import functools
import math

import numpy as np
import pytest

from t2t.data.order import random_bits
from t2t.data.vocabulary import BEGINS_WORD, ENDS_SENTENCE, SPECIAL
from t2t.errors import UserError
from t2t.objectives import permutation, permutation_lm
from t2t.objectives.config import PermutationLM
from tests.objectives.laid_examples import laid_examples
from tests.objectives.real_text import books

CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def text(shared_data):
    """(vocabulary, flat tokens)."""
    facts, documents = books(str(shared_data / "corpora" / "books.validation.jsonl.gz"))
    return facts, np.concatenate(documents)


def make(cfg, facts, tokens, starts, sizes, in_row=None, other=None, full=False, backward=None):
    cfg.check("objective")
    in_row = np.ones(len(starts), np.int64) if in_row is None else np.asarray(in_row)
    draw = functools.partial(random_bits, 7, "test", np.arange(len(starts)))
    more = [] if other is None else [other]
    return permutation_lm.make_packed_batch(
        cfg,
        facts,
        tokens,
        np.asarray(starts),
        np.asarray(sizes),
        in_row,
        draw,
        full,
        *more,
        backward=backward,
    )


def share(bits):
    return int(bits) / 2.0**32


def pick(bits, limit):
    return int(bits) * limit >> 32


def slow_targets(cfg, ids, usable, marks, first, last, budget, lengths, places, singles):
    """XLNet's _sample_mask on ids[first:last], from the same draws."""
    found, here = set(), first
    law = [1 / n for n in range(1, cfg.longest + 1)]
    for turn in range(len(lengths)):
        if len(found) >= budget:
            break
        n = 1
        while n < cfg.longest and share(lengths[turn]) >= sum(law[:n]) / sum(law):
            n += 1
        n = min(n, budget - len(found))
        context = n * cfg.one_in
        before = pick(places[turn], context)
        begin = here + before
        while begin < len(ids) and not (begin in usable and marks[ids[begin]] & BEGINS_WORD):
            begin += 1
        if begin + n >= last:
            break
        found |= {i for i in range(begin, begin + n) if i in usable}
        here = begin + n + context - before
    others = [i for i in range(first, last) if i in usable and i not in found]
    others.sort(key=lambda i: int(singles[i]))
    return found | set(others[: budget - len(found)])


def slow(cfg, facts, tokens, other, number, backward=False):
    """One example, from its last token to its first where `backward`: (ids, types, what each place sees: bool [W, W] of contents, {target: token})."""
    spans, width = permutation.turns(cfg.length, cfg.one_in), cfg.length
    (bits,) = random_bits(7, "test", np.array([number]), 2 + 4 * spans + 2 * width)
    head_bits, bits = bits[:2], bits[2:]
    four = bits[: 4 * spans].reshape(4, spans)
    singles, order = bits[4 * spans :].reshape(2, width)
    tokens, marks = list(map(int, tokens)), facts.marks
    turn = -1 if backward else 1
    tokens, other = tokens[::turn], list(map(int, other))[::turn]
    head = len(tokens) * cfg.reuse // permutation_lm.raw_length(cfg)
    ids, types, added = tokens, None, set()
    if cfg.pairs:
        rest = tokens[head:]
        cuts = [
            i
            for i in range(1, len(rest))
            for before, behind in [(rest[i - 1], rest[i])[::turn]]
            if before == SEP or (marks[before] & ENDS_SENTENCE and marks[behind] & BEGINS_WORD)
        ]
        at = cuts[pick(head_bits[0], len(cuts))] if cuts else len(rest) // 2
        a, b = rest[:at], rest[at:]
        if share(head_bits[1]) >= 0.5 and len(other):
            b = other[: len(b)]
        ids = [*tokens[:head], *a, SEP, *b, SEP, CLS]
        types = [0] * (head + len(a) + 1) + [1] * (len(b) + 1) + [2]
        added = {head + len(a), len(ids) - 2, len(ids) - 1}
    usable = {i for i in range(len(ids)) if i not in added and not marks[ids[i]] & SPECIAL}
    budget = min(max(1, round(len(ids) / cfg.one_in)), permutation_lm.lengths(cfg)[1])
    of_tail = budget * (len(ids) - head) // len(ids)
    # Spans are drawn from the text as it was written, each part for itself.
    written = ids[:head][::turn] + ids[head:][::turn]
    at = list(range(head))[::turn] + list(range(head, len(ids)))[::turn]
    draws = written, {i for i in range(len(ids)) if at[i] in usable}, marks
    targets = slow_targets(cfg, *draws, head, len(ids), of_tail, four[0], four[1], singles)
    if cfg.reuse:
        targets |= slow_targets(cfg, *draws, 0, head, budget - of_tail, four[2], four[3], singles)

    targets = {at[i] for i in targets}

    def part(i):
        return i >= head

    hidden = targets | added
    sees = np.zeros((len(ids), len(ids)), bool)
    for i in range(len(ids)):
        for j in range(len(ids)):
            if i == j:
                sees[i, j] = True
            elif part(i) != part(j):
                sees[i, j] = part(i) and not part(j)
            elif j not in hidden:
                sees[i, j] = True
            else:
                sees[i, j] = i in hidden and int(order[j]) < int(order[i])
    return ids, types, sees.tolist(), {i: ids[i] for i in sorted(targets)}


def examples_of(batch, in_row):
    """The examples of a batch as `slow` gives them."""
    found = []
    for _, _, _, encoder, stood in laid_examples(batch, in_row):
        types = encoder["types"].tolist() if "types" in encoder else None
        sees = encoder["ranks"][None, :] <= encoder["ranks"][:, None]
        found.append((encoder["tokens"].tolist(), types, sees.tolist(), stood))
    return found


SETTINGS = [
    PermutationLM(64),
    PermutationLM(64, one_in=4, longest=1, predictions=14),
    PermutationLM(64, reuse=24),
    PermutationLM(64, reuse=32, pairs=True),
    PermutationLM(64, both_ways=True),
    PermutationLM(64, reuse=32, pairs=True, both_ways=True),
]


@pytest.mark.parametrize("cfg", SETTINGS)
def test_equals_a_slow_readable_one_packed_and_not(cfg, text):
    facts, tokens = text
    rng = np.random.default_rng(0)
    most = permutation_lm.raw_length(cfg)
    sizes = rng.integers(8, 25, 48)
    sizes[::3] = most
    backward = rng.integers(0, 2, 48) > 0 if cfg.both_ways else None
    starts = rng.integers(0, len(tokens) - 2 * most, 48)
    other = rng.integers(0, len(tokens) - most, 48), np.minimum(rng.integers(1, most, 48), sizes)
    expected = []
    for e in range(48):
        more = tokens[other[0][e] : other[0][e] + other[1][e]] if cfg.pairs else ()
        one = tokens[starts[e] : starts[e] + sizes[e]]
        expected.append(slow(cfg, facts, one, more, e, cfg.both_ways and backward[e]))
    other = other if cfg.pairs else None
    alone = make(cfg, facts, tokens, starts, sizes, other=other, backward=backward)
    if cfg.both_ways:
        np.testing.assert_array_equal(alone["encoder"].pop("backward"), backward)
    assert examples_of(alone, [1] * 48) == expected
    if cfg.both_ways:  # is not for packed rows
        return
    # One full example in a row, then two short ones: the very same examples.
    in_row = [1, 2] * 16
    packed = make(cfg, facts, tokens, starts, sizes, in_row, other=other, backward=backward)
    assert examples_of(packed, in_row) == expected


def sigma(count, p):
    return math.sqrt(p * (1 - p) / count)


def test_shares_on_real_text(text):
    """One in six is predicted, in spans that begin words, anywhere in the row, seen in any order."""
    facts, tokens = text
    cfg, rows = PermutationLM(512), 200
    assert permutation_lm.lengths(cfg) == (512, 85)  # as published
    assert permutation_lm.stride(cfg) == 512
    assert permutation_lm.stride(PermutationLM(512, reuse=256, pairs=True)) == 256
    batch = make(cfg, facts, tokens, np.arange(rows) * 512, np.full(rows, 512), full=True)
    raw = tokens[: rows * 512].reshape(rows, 512)
    np.testing.assert_array_equal(batch["encoder"]["tokens"], raw)
    assert set(batch["encoder"]) == {"tokens", "ranks"}
    assert (batch["weights"].sum(axis=1) == 85).all()
    n = rows * 512
    assert abs(batch["weights"].sum() / n - 1 / 6) < 4 * sigma(n, 1 / 6)
    places, ranks = batch["places"], batch["encoder"]["ranks"]
    np.testing.assert_array_equal(batch["targets"], np.take_along_axis(raw, places, axis=1))
    assert (np.take_along_axis(ranks, places, axis=1) > 0).all()
    assert ((ranks > 0).sum(axis=1) == 85).all()
    # The first of two targets of a row comes before the second in half of the rows.
    mine = np.take_along_axis(ranks, places, axis=1)
    first = mine[:, ::2][:, :42] < mine[:, 1::2]
    assert abs(first.mean() - 0.5) < 4 * sigma(first.size, 0.5)
    # A target sees half of the others.
    seen = (mine[:, None, :] < mine[:, :, None]).sum(axis=2)
    assert (np.sort(seen, axis=1) == np.arange(85)).all()
    # Runs of targets: n tokens long with a probability in 1/n, beside those that are drawn alone.
    chosen = np.zeros((rows, 514), bool)
    np.put_along_axis(chosen, places + 1, True, axis=1)
    length = np.diff(np.flatnonzero(np.diff(chosen.ravel().astype(int))))[::2]
    assert (length == 5).sum() > 0.5 * (length == 4).sum()
    marks = np.frombuffer(facts.marks, np.uint8)
    assert not (marks[batch["targets"]] & SPECIAL).any()


def test_lengths_of_spans_follow_their_law(text):
    """In a text where every token begins a word and the budget has no end."""
    rng = np.random.default_rng(0)
    begins = np.ones((300, 700), bool)
    turns = permutation.turns(700, 6)
    bits = [rng.integers(0, 1 << 32, (300, turns), dtype=np.uint32) for _ in range(2)]
    singles = np.zeros((300, 700), np.uint32)
    found = permutation.choose(
        begins, begins, np.zeros(300, int), np.full(300, 700), np.full(300, 60), 5, 6,
        (*bits, singles),
    )  # fmt: skip
    assert (found.sum(axis=1) == 60).all()
    # Spans are 60 tokens of the first 420 or so; what stands alone comes first of all places: a run.
    padded = np.pad(found, ((0, 0), (1, 1))).astype(int)
    count = np.zeros(6)
    for row in padded:
        edges = np.flatnonzero(np.diff(row))
        for n in np.diff(edges)[::2]:
            count[min(n, 5)] += 1
    law = np.array([1 / n for n in range(1, 6)])
    law /= law.sum()
    # Neighbouring spans sometimes touch, and the last is cut to the budget: 3 %.
    assert np.abs(count[1:] / count.sum() - law).max() < 0.03


@pytest.mark.parametrize(
    "cfg, named",
    [
        (PermutationLM(64, one_in=1), "one_in: 1 is not in 2..64"),
        (PermutationLM(64, reuse=60), "reuse: 60 is not in 0..56"),
        (PermutationLM(64, pairs=True, memory=8), "reuse: 0 with pairs"),
        (PermutationLM(64, longest=0), "longest: 0"),
        (PermutationLM(64, memory=-1), "memory: -1"),
    ],
)
def test_bad_settings_are_refused(cfg, named):
    with pytest.raises(UserError, match=named):
        cfg.check("config.objective")
