"""Every published size, to the unit, from abstract shapes (no memory)."""

import math

import jax
import pytest

from t2t.errors import UserError
from t2t.models.families import byt5, mt5, t5, t5_1_1, ul2, umt5
from t2t.models.transformer import build

PUBLISHED = {
    t5: {
        "small": 60_506_624,
        "base": 222_903_552,
        "large": 737_668_096,
        "3b": 2_851_598_336,
        "11b": 11_307_321_344,
    },
    t5_1_1: {
        "small": 76_961_152,
        "base": 247_577_856,
        "large": 783_150_080,
        "xl": 2_849_757_184,
        "xxl": 11_135_332_352,
    },
    mt5: {
        "small": 300_176_768,
        "base": 582_401_280,
        "large": 1_229_581_312,
        "xl": 3_742_619_648,
        "xxl": 12_921_057_280,
    },
    umt5: {
        "small": 306_601_984,
        "base": 592_043_520,
        "xl": 3_768_356_864,
        "xxl": 12_972_531_712,
    },
    byt5: {
        "small": 299_637_760,
        "base": 581_653_248,
        "large": 1_228_183_552,
        "xl": 3_737_801_728,
        "xxl": 12_906_899_328,
    },
    ul2: {"20b": 19_591_209_984},
}
CASES = [(family, size) for family, sizes in PUBLISHED.items() for size in sizes]


@pytest.mark.parametrize(
    ("family", "size"), CASES, ids=[f"{f.__name__.rpartition('.')[2]}-{s}" for f, s in CASES]
)
def test_count_equals_the_published_one(family, size):
    shapes = build(family.architecture(size)).shapes
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) == PUBLISHED[family][size]
    assert all(leaf.dtype == "float32" for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize("family", PUBLISHED)
def test_all_sizes_are_counted_and_valid(family):
    assert set(family.SIZES) == set(PUBLISHED[family])
    for size in family.SIZES:
        family.architecture(size).check("model")
    nearest = "did you mean 'base'" if "base" in family.SIZES else "sizes are 20b"
    with pytest.raises(UserError, match=nearest):
        family.architecture("bass")
