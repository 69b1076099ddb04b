"""ERNIE 1.0's dialogues: turns from JSONL to the store, and three of them against slow, readable code."""

import functools
import gzip
import json
from typing import NamedTuple

import numpy as np
import pytest

from t2t.data import prepare
from t2t.data.order import random_bits
from t2t.data.source_config import Jsonl
from t2t.data.span_marks import BEGINS_TURN, ID_BITS, IN_PHRASE, RESPONSE
from t2t.data.vocabulary import Vocabulary, piece_marks
from t2t.errors import UserError
from t2t.objectives import masked_lm
from t2t.objectives.config import ExternalSpans, MaskedLM, Tokens
from tests.objectives.real_text import SPECIAL, pieces
from tests.objectives.test_external_spans import PIECES, tokenizer  # noqa: F401

CLS, SEP = 2, 3
TURNS_IN_DOCUMENT = 7


def test_turns_of_characters_become_marks_of_tokens(tmp_path, tokenizer):  # noqa: F811
    turns = [[0, 4, "query"], [5, 7, "query"], [8, 9, "response"], [0, 4, "phrase"]]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "ab c de f", "spans": turns}))
    source = Jsonl((str(path),), spans="spans")
    store = prepare.prepare(source, tokenizer, str(tmp_path / "store"), progress=False)
    rows = store.read(np.array([0]), 6, marks=True)[0]
    ids = [PIECES.index(p) for p in ("a", "##b", "c", "d", "##e", "f")]
    assert (rows & ID_BITS).tolist() == ids
    assert (rows & BEGINS_TURN > 0).tolist() == [True, False, False, True, False, True]
    assert (rows & RESPONSE > 0).tolist() == [False] * 5 + [True]
    assert (rows & IN_PHRASE > 0).tolist() == [False, True, True, False, False, False]
    path.write_text(json.dumps({"text": "ab", "spans": [[0, 2, "answer"]]}))
    with pytest.raises(UserError, match='one of "phrase", "entity", "query", "response"'):
        prepare.prepare(source, tokenizer, str(tmp_path / "again"), progress=False)


class Play(NamedTuple):
    """Seven speeches a document: (vocabulary, flat tokens, the documents' offsets, their turns)."""

    facts: Vocabulary
    tokens: np.ndarray
    offsets: np.ndarray
    turns: list[list[list[int]]]  # a turn's tokens without marks


@pytest.fixture(scope="module")
def play(shared_data):
    with gzip.open(shared_data / "corpora" / "tinyshakespeare.txt.gz", "rt") as file:
        blocks = [block.split("\n", 1) for block in file.read().split("\n\n")]
    ids = {piece: index for index, piece in enumerate(SPECIAL)}
    flat, ends, turns = [], [0], []
    speeches = [(name, pieces(said)) for name, *rest in blocks for said in rest if pieces(said)]
    for at in range(0, len(speeches) - TURNS_IN_DOCUMENT, TURNS_IN_DOCUMENT):
        document = speeches[at : at + TURNS_IN_DOCUMENT]
        turns.append([])
        for name, speech in document:
            found = [ids.setdefault(piece, len(ids)) for piece in speech]
            turns[-1].append(found)
            role = RESPONSE if name != document[0][0] else 0
            flat += [found[0] | BEGINS_TURN | role, *(one | role for one in found[1:])]
        ends.append(len(flat))
    plain = Vocabulary(len(ids), (), "", 0, 3, 1, None, 2, 3, 4)
    facts = Vocabulary(
        len(ids), (), "", 0, 3, 1, None, 2, 3, 4, marks=piece_marks(list(ids), plain)
    )
    return Play(facts, np.array(flat, np.int32), np.array(ends), turns)


def places(cfg, play, count):
    """Starts, sizes and other of examples: dialogues from their beginning, or from inside a turn."""
    number, room = np.arange(count) % len(play.turns), masked_lm.raw_length(cfg)
    shift = np.where(np.arange(count) % 5 == 0, 1, 0)
    starts = play.offsets[number] + shift
    sizes = np.minimum(play.offsets[number + 1] - starts, room - np.arange(count) % 3)
    other = (number * 7 + 3) % len(play.turns)
    begin = play.offsets[other] + np.arange(count) % 4
    length = np.minimum(play.offsets[other + 1] - begin, sizes)
    return starts, sizes, (begin, np.where(np.arange(count) % 11 == 0, 0, length))


def make(cfg, play, count):
    cfg.check("objective")
    starts, sizes, other = places(cfg, play, count)
    draw = functools.partial(random_bits, 7, "test", np.arange(count))
    ones = np.ones(count, np.int64)
    args = cfg, play.facts, play.tokens, starts, sizes, ones, draw
    return masked_lm.make_packed_batch(*args, other=other)


def turns_of(tokens):
    """[(role, ids)] of tokens with marks, the first of which may stand inside a turn."""
    turns = []
    for one in tokens.tolist():
        if one & BEGINS_TURN or not turns:
            turns.append((int(one & RESPONSE > 0), []))
        turns[-1][1].append(one & ID_BITS)
    return turns


def slow(cfg, play, number):
    """One example: (ids without masks, types, label)."""
    starts, sizes, other = (one for one in places(cfg, play, number + 1))
    *_, start, fake = random_bits(7, "test", np.array([number]), 4)[0].tolist()
    said = turns_of(play.tokens[starts[-1] : starts[-1] + sizes[-1]])
    count = min(3, len(said))
    begin = start * (len(said) - count + 1) >> 32
    chosen = said[begin : begin + count]
    foreign = play.tokens[other[0][-1] : other[0][-1] + other[1][-1]]
    at = np.flatnonzero(foreign & BEGINS_TURN)
    first = turns_of(foreign[at[0] :] if len(at) else foreign)[:1]
    label = int(fake >= 1 << 31 and bool(first) and count > 1)
    if label:
        which = (fake * 2 % (1 << 32)) * count >> 32
        room = sizes[-1] - sum(len(ids) for k, (_, ids) in enumerate(chosen) if k != which)
        chosen[which] = chosen[which][0], first[0][1][:room]
    ids, types = [CLS], [chosen[0][0]]
    for role, turn in chosen:
        ids += [*turn, SEP]
        types += [role] * (len(turn) + 1)
    return ids, types, label


@pytest.mark.parametrize("unit", [Tokens(), ExternalSpans(1, 0, 0)], ids=lambda u: type(u).__name__)
def test_it_is_the_slow_one(play, unit):
    cfg = MaskedLM(128, unit=unit, pairs="dialogue")
    batch = make(cfg, play, 300)
    seen = set()
    for number in range(300):
        ids, types, label = slow(cfg, play, number)
        there = batch["encoder"]["segments"][number] > 0
        shown = batch["encoder"]["tokens"][number][there].tolist()
        weights = batch["weights"][number] > 0
        for place, target in zip(
            batch["places"][number][weights], batch["targets"][number][weights], strict=True
        ):
            shown[place] = target
        assert shown == ids
        assert batch["encoder"]["types"][number][there].tolist() == types
        assert batch["pairs"]["targets"][number, 0] == label
        seen.add((ids.count(SEP), label))
    assert {(3, 0), (3, 1), (2, 0), (2, 1), (1, 0)} <= seen


def test_half_are_fake_and_every_turn_is_replaced_alike(play):
    cfg = MaskedLM(256, pairs="dialogue")
    count = 4000
    batch = make(cfg, play, count)
    near = lambda found, chance, among: (
        abs(found - chance * among) < 4 * np.sqrt(among * chance * (1 - chance))
    )
    three = (batch["encoder"]["tokens"] == SEP).sum(axis=1) == 3
    able = three & (np.arange(count) % 11 > 0)
    label = batch["pairs"]["targets"][:, 0]
    assert near(label[able].sum(), 0.5, able.sum()) and not label[np.arange(count) % 11 == 0].any()
    real = {tuple(turn) for document in play.turns for turn in document}
    replaced = np.zeros(3)
    for number in np.flatnonzero(able & (label == 1))[:1500]:
        ids, *_ = slow(cfg, play, number)
        own = turns_of(play.tokens[play.offsets[number % len(play.turns)] :][:300])
        mine = {tuple(turn) for _, turn in own} | {tuple(own[0][1][1:])}
        ends = [0, *np.flatnonzero(np.array(ids) == SEP).tolist()]
        said = [tuple(ids[a + 1 : b]) for a, b in zip(ends, ends[1:], strict=False)]
        strange = [k for k, turn in enumerate(said) if turn not in mine and turn in real]
        if len(strange) == 1:  # others were cut
            replaced[strange[0]] += 1
    assert replaced.sum() > 300
    rate = batch["weights"].sum() / (batch["encoder"]["segments"] > 0).sum()
    assert abs(rate - cfg.rate) < 0.005
    assert all(near(found, 1 / 3, replaced.sum()) for found in replaced)
