"""UL2 pre-training (seven denoisers with mode tokens, 512/512, 1024 rows, Adafactor).

    t2t train --config=ul2:20b --config.mesh.fsdp=8

reads `c4/en/*.json.gz` (C4 as JSON lines, key `text`) and T5's vocabulary `spiece.model` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=ul2:20b --config.tokenizer.path=DIR/spiece.model \
        '--config.data.train.corpora[0].source.paths=DIR/*.json.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.json.gz'

The modes' tokens [NLU], [NLG] and [S2S] are three ids behind T5's sentinels. Published: 2,000,000
steps, about a trillion tokens; 90.7 on SuperGLUE's test set after fine-tuning (arXiv:2205.05131).

    t2t train --config=ul2:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss under that of the best predictor that cannot see
the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import SentencePiece, TrainedSentencePiece
from t2t.models.families import ul2
from t2t.objectives.config import UL2
from t2t.run import Run
from t2t.tiny_books import SHAPE, STACKS, VOCABULARY, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import InverseSquareRoot

MODES = ("[NLU]", "[NLG]", "[S2S]")


def get_config(arg: str = "20b") -> Run:
    """arg: 20b or tiny."""
    if arg == "tiny":
        model = ul2.architecture("20b", **SHAPE, **STACKS, **VOCABULARY)
        vocabulary = TrainedSentencePiece(500, named=MODES)
        return tiny_books(model, UL2(inputs_length=128, targets_length=128), vocabulary)
    text = Jsonl(("c4/en/*.json.gz",))
    return Run(
        model=ul2.architecture(arg or "20b", dtype="bfloat16", remat="full"),
        tokenizer=SentencePiece("spiece.model", named=MODES),
        data=Data(
            train=Mixture((Corpus("c4", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("c4_held_out", text, documents=(0.999, 1.0)),),
            order="packed",
            batch_size=1024,
        ),
        objective=UL2(),
        optimizer=Adafactor(),
        schedule=InverseSquareRoot(),
        training=Training(steps=2_000_000),
    )
