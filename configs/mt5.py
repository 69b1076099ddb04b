"""mT5 pre-training (1024/229), by size.

    t2t train --config=mt5:small

reads `mc4/*.json.gz` (mC4 as JSON lines, key `text`) and the vocabulary `mt5.model` in the current
folder, which you supply; elsewhere they are named by

    t2t train --config=mt5:small --config.tokenizer.path=DIR/mt5.model \
        '--config.data.train.corpora[0].source.paths=DIR/*.json.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.json.gz'

One corpus a language belongs in data.train, with weighting="temperature" and temperature=1/0.3.
Expected, once fine-tuned on English (published, zero-shot XNLI): small 67.5, base 75.4.

    t2t train --config=mt5:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own;
the closing line shows a held-out loss under that of the best predictor that cannot see the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import SentencePiece, TrainedSentencePiece
from t2t.models.families import mt5
from t2t.objectives.config import SpanCorruption
from t2t.run import Run
from t2t.tiny_books import SHAPE, STACKS, VOCABULARY, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import InverseSquareRoot


def get_config(arg: str = "base") -> Run:
    """arg: small, base, large, xl, xxl or tiny."""
    if arg == "tiny":
        model = mt5.architecture("base", **SHAPE, **STACKS, **VOCABULARY)
        return tiny_books(model, SpanCorruption(inputs_length=128), TrainedSentencePiece(500))
    text = Jsonl(("mc4/*.json.gz",))
    return Run(
        model=mt5.architecture(arg or "base", dtype="bfloat16"),
        tokenizer=SentencePiece("mt5.model"),
        data=Data(
            train=Mixture((Corpus("mc4", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("mc4_held_out", text, documents=(0.999, 1.0)),),
            batch_size=1024,
        ),
        objective=SpanCorruption(inputs_length=1024),
        optimizer=Adafactor(),
        schedule=InverseSquareRoot(),
        training=Training(steps=1_000_000),
    )
