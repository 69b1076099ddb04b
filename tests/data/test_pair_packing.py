"""The plan of pairs: each once, both sides within their room, well filled, a function of the seed."""

import math

import numpy as np
import pytest

from t2t.data import packing, pair_packing

CAPACITY = 64, 24


def sizes_of(kind: str, count: int, seed: int = 0) -> np.ndarray:
    """Sizes [E, 2] of at least 1 and at most CAPACITY."""
    rng = np.random.default_rng(seed)
    sizes = {
        "short": rng.integers(1, (12, 4), (count, 2)),
        "long": rng.integers((30, 10), (65, 25), (count, 2)),
        "either": np.where(rng.random((count, 1)) < 0.5, [60, 1], [3, 22]),
        "any": rng.integers(1, (65, 25), (count, 2)),
        "full": np.tile(CAPACITY, (count, 1)),
    }
    return sizes[kind]


@pytest.mark.parametrize("window", [1 << 22, 70])
@pytest.mark.parametrize("kind", ["short", "long", "either", "any", "full"])
def test_a_plan_holds_every_pair_once_within_its_rows(kind, window):
    sizes = sizes_of(kind, 300)
    plan = pair_packing.make_plan(sizes, CAPACITY, seed=1, window=window)
    assert sorted(plan.pairs.tolist()) == list(range(300))
    assert plan.rows[0] == 0 and plan.rows[-1] == 300 and (np.diff(plan.rows) > 0).all()
    used = np.add.reduceat(sizes[plan.pairs], plan.rows[:-1])
    assert (used <= CAPACITY).all()
    rows = len(plan.rows) - 1
    fill = sizes.sum(axis=0) / (rows * np.array(CAPACITY))
    assert (plan.encoder_fill, plan.targets_fill) == pytest.approx(tuple(fill))


def test_pairs_are_well_packed():
    # No plan can have fewer rows than the fuller side fills.
    for kind, most in (("any", 1.05), ("short", 1.2)):
        sizes = sizes_of(kind, 5000)
        rows = len(pair_packing.make_plan(sizes, CAPACITY, seed=0).rows) - 1
        assert rows <= most * math.ceil((sizes.sum(axis=0) / CAPACITY).max())
    # A long input with a short target and the other way about share a row.
    rows = len(pair_packing.make_plan(np.array([[60, 2], [4, 22]] * 50), CAPACITY, seed=0).rows) - 1
    assert rows == 50


def test_which_pairs_share_a_row_hangs_on_the_seed():
    sizes = sizes_of("short", 300)
    plans = [pair_packing.make_plan(sizes, CAPACITY, seed=s) for s in (0, 0, 1)]
    np.testing.assert_array_equal(plans[0].pairs, plans[1].pairs)
    assert (plans[0].pairs != plans[2].pairs).any()
    neighbours = np.diff(plans[0].pairs)  # not in the order of the file
    assert (neighbours == 1).mean() < 0.05


def test_one_a_row():
    sizes = sizes_of("any", 10)
    plan = pair_packing.one_a_row(sizes, CAPACITY)
    assert plan.pairs.tolist() == list(range(10)) and plan.rows.tolist() == list(range(11))
    assert plan.targets_fill == pytest.approx(sizes[:, 1].sum() / 240)


def test_a_plan_is_kept_and_found(tmp_path):
    made = []

    def make():
        made.append(1)
        return pair_packing.make_plan(sizes_of("any", 50), CAPACITY, seed=0)

    first, again = (
        packing.cached_plan(str(tmp_path), "f00d", make, pair_packing.PairPlan) for _ in range(2)
    )
    assert len(made) == 1 and isinstance(again, pair_packing.PairPlan)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
