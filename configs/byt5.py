"""ByT5 pre-training on bytes (1024/189, mean span 20), by size.

    t2t train --config=byt5:small

reads mC4 as `mt5` does (`mc4/c4-LANGUAGE.*`), with the same shares of languages, in the current folder,
which you supply; elsewhere it is named by

    t2t train --config=byt5:small:DIR

Expected, once fine-tuned (published, GLUE): small 80.5, base 85.3.

    t2t train --config=byt5:tiny

is done in minutes on two CPU cores, on the books of `../shared/data`;
the closing line shows a held-out loss under that of the best predictor that cannot see the input.
"""

from t2t import recipes
from t2t.data.tokenizer_config import Bytes
from t2t.models.families import byt5
from t2t.objectives.config import SpanCorruption
from t2t.run import Run
from t2t.tiny_books import SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import InverseSquareRoot


def get_config(arg: str = "base") -> Run:
    """arg: small, base, large, xl, xxl or tiny; or SIZE:FOLDER, the folder of mC4."""
    if arg == "tiny":
        model = byt5.architecture("base", **SHAPE, encoder_layers=4, decoder_layers=2)
        return tiny_books(
            model, SpanCorruption(inputs_length=256, mean_noise_span_length=20.0), Bytes()
        )
    size, _, folder = arg.partition(":")
    return Run(
        model=byt5.architecture(size or "base", dtype="bfloat16"),
        tokenizer=Bytes(),
        data=recipes.get_config(f"mt5:base:{folder}", Run).data,
        objective=SpanCorruption(inputs_length=1024, mean_noise_span_length=20.0),
        optimizer=Adafactor(),
        schedule=InverseSquareRoot(),
        training=Training(steps=1_000_000),
    )
