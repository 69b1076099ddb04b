"""ERNIE 2.0's tasks against slow, readable code from the same draws, and counted on real text."""

import functools

import numpy as np
import pytest

from t2t.data.order import random_bits
from t2t.data.span_marks import CAPITAL, ID_BITS
from t2t.data.vocabulary import BEGINS_WORD, ENDS_SENTENCE, SPECIAL
from t2t.errors import UserError
from t2t.objectives import ernie_tasks, masked_lm
from t2t.objectives.config import TASKS, ErnieTasks, ExternalSpans, Stage, WholeWords
from t2t.objectives.implementations import batch_shapes
from tests.objectives.real_text import books

CLS, SEP, MASK = 2, 3, 4
EVEN = Stage(0, 0.2, 0.2, 0.2, 0.2, 0.2)


@pytest.fixture(scope="module")
def text(shared_data):
    """(vocabulary, tokens whose words begin with a capital one time in seven)."""
    facts, documents = books(str(shared_data / "corpora" / "books.validation.jsonl.gz"))
    tokens = np.concatenate(documents)
    return facts, tokens | np.where(np.arange(len(tokens)) % 7 == 3, CAPITAL, 0)


def places(cfg, tokens, count):
    """Starts, sizes, and other and behind of examples; behind ends early now and then."""
    size, number = ernie_tasks.raw_length(cfg), np.arange(count)
    starts, sizes = number * 2 * size, np.full(count, size)
    other = (starts + 100_000, np.where(number % 11 == 0, 0, size - number % 5))
    behind = (starts + size, np.where(number % 7 == 0, number % 3, size), number % 4 * 5)
    return starts, sizes, other, behind


def make(cfg, facts, tokens, count, in_row=None, sample=None):
    cfg.check("objective")
    starts, sizes, other, behind = places(cfg, tokens, count)
    number = np.arange(count)
    draw = functools.partial(random_bits, 7, "test", number)
    in_row = np.ones(count, np.int64) if in_row is None else in_row
    sample = np.full(count, 1 << 62) if sample is None else sample
    return ernie_tasks.make_packed_batch(
        cfg, facts, tokens, starts, sizes, in_row, draw, other=other, behind=behind, sample=sample
    )


def pick(bits, limit):
    return int(bits) * limit >> 32


def slow(cfg, facts, tokens, number):
    """One example: (task, ids without masks, types, {place: capital}, {place: met}, label)."""
    starts, sizes, other, behind = places(cfg, tokens, number + 1)
    (head,) = random_bits(7, "test", np.array([number]), 8 + 4 * cfg.length + 1)
    head = head[:8]
    stage, level, task = cfg.stages[-1], int(head[0]) / 2.0**32, 0
    while task < 4 and level >= sum(stage.shares()[: task + 1]):
        task += 1
    size = int(sizes[-1])
    at = lambda start, count: list(map(int, tokens[start : start + count]))
    body = at(int(starts[-1]), size)
    marks = lambda one: facts.marks[one & ID_BITS]
    begins = [
        i
        for i in range(1, size)
        if body[i - 1] & ID_BITS == SEP
        or (marks(body[i - 1]) & ENDS_SENTENCE and marks(body[i]) & BEGINS_WORD)
    ]
    cut = lambda bits: begins[pick(bits, len(begins))] if begins else size // 2
    label, segments = 0, [body]
    if TASKS[task] == "distance":
        where = cut(head[3])
        label, rest = pick(head[5], 3), size - where
        following = at(int(behind[0][-1]), int(behind[1][-1]))
        foreign = at(int(other[0][-1]), int(other[1][-1]))
        second = [body[where:], following[:rest], foreign[:rest]][label]
        if not second:
            label, second = 0, body[where:]
        segments = [body[:where], second]
    if TASKS[task] == "reordering":
        count = 1 + pick(head[1], 3)
        cuts = sorted((cut(head[3]), cut(head[4]))) if count == 3 else [cut(head[3])][: count - 1]
        if count == 3 and cuts[0] == cuts[1]:
            cuts = [size // 3, size * 2 // 3]
        edges = [0, *cuts, size]
        orders = {
            1: [(0,)],
            2: [(0, 1), (1, 0)],
            3: [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)],
        }[count]
        which = pick(head[2], len(orders))
        label = which + {1: 0, 2: 1, 3: 3}[count]
        segments = [body[edges[k] : edges[k + 1]] for k in orders[which]]
    ids, types, capital, met = [CLS], [0], {}, {}
    later = {one & ID_BITS for one in at(int(behind[0][-1]), int(behind[1][-1]))}
    for k, segment in enumerate(segments):
        for i, one in enumerate(segment):
            if not marks(one) & SPECIAL:
                if TASKS[task] == "capital" and marks(one) & BEGINS_WORD:
                    capital[len(ids)] = bool(one & CAPITAL)
                if TASKS[task] == "relation" and i >= behind[2][-1] and later:
                    met[len(ids)] = one & ID_BITS in later
            ids.append(one & ID_BITS)
            types.append(k)
        ids.append(SEP)
        types.append(k)
    return task, ids, types, capital, met, label


def labelled(one, row):
    """{place: label} where a row has labels of a token task."""
    at = np.flatnonzero(one["weights"][row]).tolist()
    return {place: bool(one["targets"][row, place]) for place in at}


def test_it_is_the_slow_one(text):
    facts, tokens = text
    cfg = ErnieTasks(64, WholeWords(), stages=(EVEN,))
    batch, seen = make(cfg, facts, tokens, 400), set()
    for number in range(400):
        task, ids, types, capital, met, label = slow(cfg, facts, tokens, number)
        seen.add((task, label))
        side = {name: part[number] for name, part in batch["encoder"].items()}
        there = side["segments"] > 0
        assert there.sum() == len(ids) and side["types"][there].tolist() == types
        assert set(side["tasks"][there]) == {task}
        shown = side["tokens"][there].tolist()
        weights = batch["weights"][number] > 0
        assert weights.any() == (TASKS[task] == "knowledge")
        for place, target in zip(
            batch["places"][number][weights], batch["targets"][number][weights], strict=True
        ):
            shown[place] = target
        assert shown == ids
        assert labelled(batch["token_labels"]["capital"], number) == capital
        assert labelled(batch["token_labels"]["relation"], number) == met
        for name, one in batch["sentence_labels"].items():
            of = TASKS[task] == name
            assert one["weights"][number].tolist() == [float(of), *[0.0] * (weights.size - 1)]
            assert one["targets"][number, 0] == (label if of else 0)
    assert {(3, k) for k in range(9)} <= seen and {(4, k) for k in range(3)} <= seen


def test_shares_orders_and_distances_are_counted(text):
    facts, tokens = text
    cfg = ErnieTasks(32, ExternalSpans(1, 0, 0), stages=(EVEN,))
    count = 6000
    batch = make(cfg, facts, tokens, count)

    def near(found, chance, among):
        return abs(found - chance * among) < 4 * np.sqrt(among * chance * (1 - chance))

    tasks = batch["encoder"]["tasks"][:, 0]
    assert all(near((tasks == i).sum(), 0.2, count) for i in range(5))
    one = batch["sentence_labels"]["reordering"]
    labels = one["targets"][one["weights"] > 0]
    for label, chance in enumerate([1 / 3, *[1 / 6] * 2, *[1 / 18] * 6]):
        assert near((labels == label).sum(), chance, len(labels))
    one = batch["sentence_labels"]["distance"]
    of = one["weights"][:, 0] > 0
    full = of & (np.arange(count) % 11 > 0) & (np.arange(count) % 7 > 0)
    labels = one["targets"][full, 0]
    assert all(near((labels == k).sum(), 1 / 3, len(labels)) for k in range(3))


def test_stages_follow_each_other_by_sample(text):
    facts, tokens = text
    first = Stage(100, knowledge=1.0, capital=0, relation=0, reordering=0, distance=0)
    second = Stage(50, knowledge=0.5, capital=0.5, relation=0, reordering=0, distance=0)
    cfg = ErnieTasks(32, WholeWords(), stages=(first, second, EVEN))
    batch = make(cfg, facts, tokens, 400, sample=np.arange(400))
    tasks = batch["encoder"]["tasks"][:, 0]
    assert (
        set(tasks[:100]) == {0}
        and set(tasks[100:150]) == {0, 1}
        and set(tasks[150:]) == {*range(5)}
    )


def test_shapes_are_those_announced_and_packing_keeps_examples_apart(text):
    facts, tokens = text
    cfg = ErnieTasks(64, WholeWords(), stages=(EVEN,))
    found = make(cfg, facts, tokens, 6)
    wanted = batch_shapes(cfg, 6, False)
    wanted.pop("sample")

    def same(a, b):
        if isinstance(a, dict):
            assert a.keys() == b.keys()
            return [same(a[name], b[name]) for name in a]
        assert (a.shape, a.dtype) == b

    same(found, wanted)
    wide = ErnieTasks(128, WholeWords(), stages=(EVEN,))
    sizes = np.full(6, 50)
    number = np.arange(6)
    # The same draws whatever the row: those of examples of 50 tokens, two or one in a row.
    draw = functools.partial(random_bits, 7, "test", number)
    args = (wide, facts, tokens, number * 100, sizes)
    more = {"other": (number * 100, sizes), "behind": (number * 100 + 50, sizes, 0 * number)}
    more["sample"] = number
    alone = ernie_tasks.make_packed_batch(*args, np.ones(6, np.int64), draw, **more)
    packed = ernie_tasks.make_packed_batch(*args, np.full(3, 2), draw, **more)
    for row in range(3):
        for k in (1, 2):
            here = packed["encoder"]["segments"][row] == k
            other = alone["encoder"]["segments"][2 * row + k - 1] == 1
            for name in ("tokens", "types", "tasks", "positions"):
                np.testing.assert_array_equal(
                    packed["encoder"][name][row][here],
                    alone["encoder"][name][2 * row + k - 1][other],
                )
            for name in ernie_tasks.TOKEN_TASKS:
                ours, theirs = packed["token_labels"][name], alone["token_labels"][name]
                for key in ("targets", "weights"):
                    np.testing.assert_array_equal(
                        ours[key][row][here], theirs[key][2 * row + k - 1][other]
                    )


def test_what_does_not_go_together_is_named():
    for cfg, match in (
        (ErnieTasks(64, stages=()), "stages: none"),
        (ErnieTasks(64, stages=(Stage(3),)), r"stages\[0\].samples: 3; the last"),
        (ErnieTasks(64, stages=(Stage(0, 0.5),)), r"stages\[0\]: shares"),
        (ErnieTasks(64, stages=(Stage(0, 0.0, 0.4, 0.2, 0.2, 0.2),)), "knowledge: 0"),
    ):
        with pytest.raises(UserError, match=match):
            cfg.check("config.objective")
    assert masked_lm.raw_length(ErnieTasks(64).masking()) == 62
