"""T5 v1.1 pre-training (span corruption 512/114, Adafactor, 1/sqrt(step)), by size.

    t2t train --config=t5_1_1:base --config.data.train.corpora[0].source.paths='c4/*.json.gz' \
        --config.tokenizer.path=spiece.model --config.mesh.fsdp=8

Expected (published, arXiv:2002.05202, C4, 65,536 steps of 128 rows): base 1.942 nat a target token.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import SentencePiece
from t2t.models.families import t5_1_1
from t2t.objectives.config import SpanCorruption
from t2t.run import Run
from t2t.training.config import Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import InverseSquareRoot


def get_config(arg: str = "base") -> Run:
    """arg: small, base, large, xl or xxl."""
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
