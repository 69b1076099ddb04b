"""Wrong values are named, with the likely fix."""

import dataclasses
import subprocess
import sys

import pytest

from t2t.errors import UserError
from t2t.models.families import t5_1_1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 0}, "model.heads: 0 is not positive"),
        ({"vocab_size": 32100}, "model.vocab_size: 32100 is not a multiple of 128; use 32128"),
        ({"dropout": 1.0}, "model.dropout: 1.0 is not in"),
        ({"dropout": float("nan")}, "model.dropout: nan is not in"),
        ({"norm_epsilon": 0.0}, "model.norm_epsilon: 0.0 is not a positive number"),
        ({"relative_buckets": 30}, "model.relative_buckets: 30 is not a multiple of 4"),
        ({"relative_max_distance": 16}, "model.relative_max_distance: 16 must exceed the 16"),
    ],
)
def test_check_names_the_field(change, message):
    arch = dataclasses.replace(t5_1_1.architecture("small"), **change)
    with pytest.raises(UserError, match=message):
        arch.check("model")


def test_families_import_without_jax():
    code = "import sys, t2t.models.families.umt5, t2t.models.families.byt5; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
