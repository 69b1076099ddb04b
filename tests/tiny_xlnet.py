"""An XLNet with a memory that trains in seconds: `--config=tests/tiny_xlnet.py:TEXT`, or `:TEXT,pairs`."""

import dataclasses

from t2t.data.tokenizer_config import TrainedSubwords
from t2t.models.families import xlnet
from t2t.objectives.config import PermutationLM
from t2t.run import Run
from tests import tiny

SHAPE = {"vocab_size": 1024, "d_model": 16, "heads": 2, "head_dim": 8, "d_ff": 32}
ARCH = dataclasses.replace(
    xlnet.architecture("base"), **SHAPE, encoder_layers=2, dropout=0.0, layers="unroll"
)


def get_config(arg: str = "") -> Run:
    """arg: the text's path, and `pairs` for the published rows."""
    path, _, pairs = arg.partition(",")
    run = tiny.get_config(path)
    return dataclasses.replace(
        run,
        model=ARCH,
        tokenizer=TrainedSubwords("wordpiece", 1024),
        data=dataclasses.replace(run.data, order="streams"),
        objective=PermutationLM(48, reuse=20 if pairs else 0, pairs=bool(pairs), memory=24),
    )
