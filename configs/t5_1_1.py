"""T5 v1.1 pre-training (span corruption 512/114, Adafactor, 1/sqrt(step)), by size.

    t2t train --config=t5_1_1:base --config.mesh.fsdp=8

reads `c4/en/*.json.gz` (C4 as JSON lines, key `text`) and T5's vocabulary `spiece.model` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=t5_1_1:base --config.tokenizer.path=DIR/spiece.model \
        '--config.data.train.corpora[0].source.paths=DIR/*.json.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.json.gz'

The batch and the steps are T5's own (a million steps of 2048 rows). Expected, base, after 65,536
steps of 128 rows: 1.942 nat a held-out target token (published, arXiv:2002.05202, table 1):

    t2t train --config=t5_1_1:base --config.data.batch_size=128 --config.training.steps=65536

    t2t train --config=t5_1_1:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own;
the closing line shows a held-out loss under that of the best predictor that cannot see the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import SentencePiece, TrainedSentencePiece
from t2t.models.families import t5_1_1
from t2t.objectives.config import SpanCorruption
from t2t.run import Run
from t2t.tiny_books import SHAPE, STACKS, VOCABULARY, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import InverseSquareRoot


def get_config(arg: str = "base") -> Run:
    """arg: small, base, large, xl, xxl or tiny."""
    if arg == "tiny":
        model = t5_1_1.architecture("base", **SHAPE, **STACKS, **VOCABULARY)
        return tiny_books(model, SpanCorruption(inputs_length=128), TrainedSentencePiece(500))
    text = Jsonl(("c4/en/*.json.gz",))
    return Run(
        model=t5_1_1.architecture(arg or "base", dtype="bfloat16"),
        tokenizer=SentencePiece("spiece.model"),
        data=Data(
            train=Mixture((Corpus("c4", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("c4_held_out", text, documents=(0.999, 1.0)),),
            batch_size=2048,
        ),
        objective=SpanCorruption(),
        optimizer=Adafactor(),
        schedule=InverseSquareRoot(),
        training=Training(steps=1_000_000),
    )
