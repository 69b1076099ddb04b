"""Solved examples before a question: which, in what form, and never the question's own answer."""

import collections

import pytest

from t2t.errors import UserError
from t2t.tasks.few_shot import with_shots
from t2t.tasks.labels import UNLABELLED
from t2t.tasks.task import Example

POOL = [Example(f"q{n}", f"a{n}") for n in range(40)]
ASKED = [Example(f"question {n}", "?", truth=n, id=(n,)) for n in range(400)]


def test_the_form_of_a_prompt():
    (made,) = with_shots([Example("2 + 2 =", "4", truth=4)], [Example("1 + 1 =", "2")], 1, seed=0)
    assert made.input == "1 + 1 =\n2\n\n2 + 2 ="
    assert (made.target, made.truth) == ("4", 4)


def shots_of(made: Example) -> list[str]:
    *solved, asked = made.input.split("\n\n")
    assert asked.startswith("question ")
    for one in solved:
        question, answer = one.split("\n")
        assert question[1:] == answer[1:]
    return solved


def test_shots_are_different_ones_drawn_evenly():
    counts: collections.Counter = collections.Counter()
    for made, asked in zip(with_shots(ASKED, POOL, 5, seed=3), ASKED, strict=True):
        assert (made.target, made.truth, made.id) == (asked.target, asked.truth, asked.id)
        shots = shots_of(made)
        assert len(set(shots)) == 5
        counts.update(shots)
    # 2000 draws over 40: 50 each, standard deviation under 7.
    assert len(counts) == 40
    assert all(20 < count < 80 for count in counts.values())


def test_they_depend_on_the_seed_and_the_place_alone():
    first = [made.input for made in with_shots(ASKED, POOL, 3, seed=1)]
    assert first == [made.input for made in with_shots(iter(ASKED), list(POOL), 3, seed=1)]
    assert first[:10] == [made.input for made in with_shots(ASKED[:10], POOL, 3, seed=1)]
    other = [made.input for made in with_shots(ASKED, POOL, 3, seed=2)]
    assert sum(a == b for a, b in zip(first, other, strict=True)) < 10


def test_an_example_never_shows_itself_nor_one_without_an_answer():
    pool = [*POOL[:3], Example("q0", "again"), Example("hidden", UNLABELLED)]
    for made in with_shots([POOL[0]] * 50, pool, 2, seed=0):
        shown = made.input.split("\n\n")[:-1]
        assert sorted(shown) == ["q1\na1", "q2\na2"]


def test_no_shots_change_nothing():
    assert list(with_shots(ASKED, [], 0, seed=0)) == ASKED


def test_too_few_are_refused():
    with pytest.raises(UserError, match=r"--shots=3: .* only 2 other"):
        list(with_shots([POOL[0]], POOL[:3], 3, seed=0))
