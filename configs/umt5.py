"""umT5 pre-training (1024/229, a position table in every layer), by size.

    t2t train --config=umt5:small

reads mC4 as `mt5` does (`mc4/c4-LANGUAGE.*`, published with version 3.1) and the vocabulary `umt5.model`
in the current folder, which you supply; elsewhere they are named by

    t2t train --config=umt5:small:DIR --config.tokenizer.path=DIR/umt5.model

Languages are mixed by UniMax (arXiv:2304.09151): all alike, but none is read more than once; what small
ones leave goes to the larger. Expected: 306,601,984 parameters in small and 592,043,520 in base, as
published; `model.txt` of the run lists them.

    t2t train --config=umt5:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own;
the closing line shows a held-out loss under that of the best predictor that cannot see the input.
"""

import dataclasses

from t2t import recipes
from t2t.data.config import Mixture
from t2t.data.tokenizer_config import SentencePiece, TrainedSentencePiece
from t2t.models.families import umt5
from t2t.objectives.config import SpanCorruption
from t2t.run import Run
from t2t.tiny_books import SHAPE, STACKS, VOCABULARY, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import InverseSquareRoot

STEPS = 1_000_000
LENGTH = 1024


def get_config(arg: str = "base") -> Run:
    """arg: small, base, xl, xxl or tiny; or SIZE:FOLDER, the folder of mC4."""
    if arg == "tiny":
        model = umt5.architecture("base", **SHAPE, **STACKS, **VOCABULARY)
        return tiny_books(model, SpanCorruption(inputs_length=128), TrainedSentencePiece(500))
    size, _, folder = arg.partition(":")
    mc4 = recipes.get_config(f"mt5:base:{folder}", Run).data
    read = STEPS * mc4.batch_size * LENGTH
    return Run(
        model=umt5.architecture(size or "base", dtype="bfloat16"),
        tokenizer=SentencePiece("umt5.model"),
        data=dataclasses.replace(
            mc4, train=Mixture(mc4.train.corpora, "unimax", budget=read, epochs=1.0)
        ),
        objective=SpanCorruption(inputs_length=LENGTH),
        optimizer=Adafactor(),
        schedule=InverseSquareRoot(),
        training=Training(steps=STEPS),
    )
