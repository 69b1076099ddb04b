"""ByT5 pre-training on bytes (1024/189, mean span 20), by size.

    t2t train --config=byt5:small

reads `mc4/*.json.gz` (mC4 as JSON lines, key `text`) in the current folder, which you supply;
elsewhere it is named by

    t2t train --config=byt5:small \
        '--config.data.train.corpora[0].source.paths=DIR/*.json.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.json.gz'

Expected, once fine-tuned (published, GLUE): small 80.5, base 85.3.

    t2t train --config=byt5:tiny

is done in minutes on two CPU cores, on the books of `../shared/data`;
the closing line shows a held-out loss under that of the best predictor that cannot see the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Bytes
from t2t.models.families import byt5
from t2t.objectives.config import SpanCorruption
from t2t.run import Run
from t2t.tiny_books import SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import InverseSquareRoot


def get_config(arg: str = "base") -> Run:
    """arg: small, base, large, xl, xxl or tiny."""
    if arg == "tiny":
        model = byt5.architecture("base", **SHAPE, encoder_layers=4, decoder_layers=2)
        return tiny_books(
            model, SpanCorruption(inputs_length=256, mean_noise_span_length=20.0), Bytes()
        )
    text = Jsonl(("mc4/*.json.gz",))
    return Run(
        model=byt5.architecture(arg or "base", dtype="bfloat16"),
        tokenizer=Bytes(),
        data=Data(
            train=Mixture((Corpus("mc4", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("mc4_held_out", text, documents=(0.999, 1.0)),),
            batch_size=1024,
        ),
        objective=SpanCorruption(inputs_length=1024, mean_noise_span_length=20.0),
        optimizer=Adafactor(),
        schedule=InverseSquareRoot(),
        training=Training(steps=1_000_000),
    )
