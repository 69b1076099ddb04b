"""T5 1.1's adaptation to a language model: prefix LM from its checkpoint, 100,000 steps.

    t2t train --config=lm_adapt:base '--config.initial=FromHuggingFace("t5-v1_1-base")' \
        --config.tokenizer=RunTokenizer

begins with the weights and the vocabulary in the folder `t5-v1_1-base`, and reads
`c4/en/*.json.gz` (C4 as JSON lines, key `text`) in the current folder; you supply both. The steps
are those of Lester et al. (arXiv:2104.08691, section 3.1); the learning rate is where T5's own has
come to after its million steps. Expected: a model that goes on with a text it is given, for prompt
tuning.

    t2t train --config=lm_adapt:tiny

learns to go on with the books of `../shared/data` from scratch, in minutes on two CPU cores, with a
vocabulary of its own; the closing line shows a held-out loss under that of the best predictor that
cannot see the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import SentencePiece, TrainedSentencePiece
from t2t.models.families import t5_1_1
from t2t.objectives.config import PrefixLM
from t2t.run import Run
from t2t.tiny_books import SHAPE, STACKS, VOCABULARY, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import Constant


def get_config(arg: str = "base") -> Run:
    """arg: small, base, large, xl, xxl or tiny."""
    if arg == "tiny":
        model = t5_1_1.architecture("base", **SHAPE, **STACKS, **VOCABULARY)
        return tiny_books(model, PrefixLM(128), TrainedSentencePiece(500))
    text = Jsonl(("c4/en/*.json.gz",))
    return Run(
        model=t5_1_1.architecture(arg or "base", dtype="bfloat16"),
        tokenizer=SentencePiece("spiece.model"),
        data=Data(
            train=Mixture((Corpus("c4", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("c4_held_out", text, documents=(0.999, 1.0)),),
            batch_size=2048,
        ),
        objective=PrefixLM(),
        optimizer=Adafactor(),
        schedule=Constant(peak=1e-3),
        training=Training(steps=100_000),
    )
