"""Hardware by name: device counts as Google documents them, and one line for what cannot be."""

import pytest

from t2t.errors import UserError
from t2t.planning.topology import parse


@pytest.mark.parametrize(
    "text, slices, devices",
    [  # Google's figures: v5e 16x16 is 256 chips, v5p 4x4x8 is 128, tpu7x has two devices a chip
        ("v5e:16x16", 1, 256),
        ("v5e:16x16", 2, 512),
        ("v5p:4x4x8", 1, 128),
        ("v4:2x2x1", 1, 4),
        ("v6e:4x4", 1, 16),
        ("v5e:1x1", 1, 1),
        ("v6e:1x1", 1, 1),
        ("tpu7x:2x2x1", 1, 8),
        ("h100:16", 1, 16),
        ("cpu:8", 1, 8),
    ],
)
def test_devices(text, slices, devices):
    assert parse(text, slices).devices == devices


@pytest.mark.parametrize(
    "text, slices, says",
    [
        ("v5q:4x4", 1, "did you mean 'v5"),
        ("v5p", 1, "write it as v5p:AxBxC"),
        ("v5p:4x4", 1, "laid out as v5p:AxBxC"),
        ("v5e:0x4", 1, "write it as v5e:AxB"),
        ("v5e:3x4", 1, "a host has 2x2 chips"),
        ("v6e:1x2", 1, "a host has 2x2 chips, which must divide it; or take v6e:1x1"),
        ("v5p:1x1x1", 1, "a host has 2x2x1 chips, which must divide it$"),
        ("v5e:32x32", 1, "at most 16x16"),
        ("h100:12", 1, "whole hosts"),
        ("h100:8", 2, "only TPUs come in slices"),
    ],
)
def test_refused(text, slices, says):
    with pytest.raises(UserError, match=says):
        parse(text, slices)
