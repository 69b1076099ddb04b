"""The packing plan: nothing lost, nothing crossing, nothing over, well filled, kept and found."""

import numpy as np
import pytest

from t2t.data import packing
from t2t.errors import Failure
from t2t.objectives import span_corruption as sc
from t2t.objectives.config import SpanCorruption

CFG = SpanCorruption()
LENGTH = sc.raw_length(CFG)
TABLE = sc.lengths_for(CFG, np.arange(LENGTH + 1))
CAPACITY = sc.lengths(CFG)


def offsets_of(sizes):
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def documents(kind, rng):
    return {
        "lognormal": lambda: np.exp(rng.normal(5, 1, 20000)).astype(int) + 1,
        "short": lambda: rng.integers(1, 60, 5000),
        "long": lambda: rng.integers(500, 5000, 500),
        "one": lambda: np.array([40]),
        "alike": lambda: np.full(1000, 100),
        "with empty": lambda: rng.integers(0, 4, 1000) * 50,
    }[kind]()


@pytest.mark.parametrize("kind", ["lognormal", "short", "long", "one", "alike", "with empty"])
@pytest.mark.parametrize("window", [packing.WINDOW, 777])
def test_a_plan_holds_every_token_once_within_documents(kind, window):
    rng = np.random.default_rng(0)
    offsets = offsets_of(documents(kind, rng)) + 13
    plan = packing.make_plan(offsets, TABLE, CAPACITY, seed=1, window=window)
    ends = plan.starts + plan.lengths
    # Within one document each: both ends of an example lie in the same one.
    document = np.searchsorted(offsets, plan.starts, "right") - 1
    assert (ends <= offsets[document + 1]).all()
    by_start = np.argsort(plan.starts)
    assert (ends[by_start][:-1] <= plan.starts[by_start][1:]).all()
    assert plan.lengths.sum() + plan.dropped == offsets[-1] - offsets[0]
    assert plan.lengths.min() >= 2 and plan.lengths.max() <= LENGTH
    assert plan.rows[0] == 0 and plan.rows[-1] == len(plan.starts)
    assert (np.diff(plan.rows) > 0).all()
    encoder = np.add.reduceat(TABLE[0][plan.lengths], plan.rows[:-1])
    targets = np.add.reduceat(TABLE[1][plan.lengths], plan.rows[:-1])
    assert encoder.max() <= CAPACITY[0] and targets.max() <= CAPACITY[1]
    rows = len(plan.rows) - 1
    assert plan.encoder_fill == pytest.approx(encoder.sum() / (rows * CAPACITY[0]))
    assert plan.targets_fill == pytest.approx(targets.sum() / (rows * CAPACITY[1]))
    assert plan.documents_cut == (np.diff(offsets) > LENGTH).sum()


def test_rows_are_filled():
    """Grain's first fit with 256 bins fills .953 (stack.md); next fit, which T5X uses, less."""
    sizes = documents("lognormal", np.random.default_rng(0))
    plan = packing.make_plan(offsets_of(sizes), TABLE, CAPACITY, seed=0)
    assert max(plan.encoder_fill, plan.targets_fill) > 0.98
    # The lower bound of any packing: the fuller of the two sides.
    short = packing.make_plan(
        offsets_of(documents("short", np.random.default_rng(0))), TABLE, CAPACITY, seed=0
    )
    assert short.targets_fill > 0.98


def test_the_first_rows_are_like_the_last():
    sizes = documents("lognormal", np.random.default_rng(0))
    plan = packing.make_plan(offsets_of(sizes), TABLE, CAPACITY, seed=0)
    half = len(plan.starts) // 2
    assert plan.lengths[:half].mean() == pytest.approx(plan.lengths[half:].mean(), rel=0.15)


def test_a_seed_is_an_order():
    offsets = offsets_of(documents("lognormal", np.random.default_rng(0)))
    plans = [packing.make_plan(offsets, TABLE, CAPACITY, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(plans[0].starts, plans[1].starts)
    assert (plans[0].starts != plans[2].starts).mean() > 0.9


def test_plans_are_kept_and_found(tmp_path):
    offsets = offsets_of([30, 400, 900])
    made = []

    def make():
        made.append(1)
        return packing.make_plan(offsets, TABLE, CAPACITY, 0)

    folder = str(tmp_path / "cache")
    first = packing.cached_plan(folder, "f00d", make)
    again = packing.cached_plan(folder, "f00d", make)
    assert len(made) == 1
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["packing-f00d.npz"]
    # A flipped bit or a file cut short is noticed, and the plan made again.
    path = tmp_path / "cache" / "packing-f00d.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    for damaged in (bytes(data), bytes(data[:50]), b""):
        path.write_bytes(damaged)
        again = packing.cached_plan(folder, "f00d", make)
        np.testing.assert_array_equal(again.starts, first.starts)
    assert len(made) == 4
    packing.cached_plan("", "f00d", make)
    assert len(made) == 5


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="packing-f00d.npz: the packing plan cannot be kept"):
        packing.cached_plan(
            str(tmp_path / "file"),
            "f00d",
            lambda: packing.make_plan(offsets_of([30]), TABLE, CAPACITY, 0),
        )


def test_fingerprints_differ_with_all_that_matters():
    base = ("store", (0, 10), TABLE, CAPACITY, 0)
    other_table = (TABLE[0] + 1, TABLE[1])
    changed = [
        ("other", *base[1:]),
        ("store", (0, 9), *base[2:]),
        ("store", (0, 10), other_table, CAPACITY, 0),
        ("store", (0, 10), TABLE, (512, 115), 0),
        ("store", (0, 10), TABLE, CAPACITY, 1),
    ]
    names = {packing.plan_fingerprint(*facts) for facts in (base, *changed)}
    assert len(names) == 6 and packing.plan_fingerprint(*base) in names


def test_no_example_at_all():
    plan = packing.make_plan(offsets_of([1, 0, 1]), TABLE, CAPACITY, 0)
    assert plan.rows.tolist() == [0] and plan.dropped == 2
