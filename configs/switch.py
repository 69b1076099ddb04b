"""Switch Transformer pre-training (span corruption 512/114, experts, Adafactor), by experts.

    t2t train --config=switch:base-8 --config.mesh.fsdp=8

reads `c4/en/*.json.gz` (C4 as JSON lines, key `text`) and T5's vocabulary `spiece.model` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=switch:base-8 --config.tokenizer.path=DIR/spiece.model \
        '--config.data.train.corpora[0].source.paths=DIR/*.json.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.json.gz'

A million tokens a batch, the weight of the balance loss, the router's jitter and the smaller initial
kernels are the paper's (arXiv:2101.03961, section 2), the fixed capacity of 64 tokens a row that of the published weights.
Published, once fine-tuned: SuperGLUE 79.5 for base, against 75.1 of T5 base.

    t2t train --config=switch:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own:
four experts. Expected, of the held-out rows in `metrics.jsonl` after 1,600 steps: a loss of 3.71 where the
best predictor that cannot see the input has 3.84, `fullest_expert` (0.25 is balanced) 0.34 and
`dropped_tokens` 0.05; with `--config.training.balance_loss=0` one expert is soon asked for by all of a layer.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import SentencePiece, TrainedSentencePiece
from t2t.models.families import switch
from t2t.objectives.config import SpanCorruption
from t2t.run import Run
from t2t.tiny_books import SHAPE, STEPS, VOCABULARY, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import InverseSquareRoot

# What keeps routing stable: noise on the router's input, and kernels that begin small (sections 2.2, 2.4).
STABLE = {"router_jitter": 1e-2, "kernel_scale": 0.1}


def get_config(arg: str = "base-8") -> Run:
    """arg: base-8, base-16, base-32, base-64, base-128, base-256 or tiny."""
    if arg == "tiny":
        # Of 128 tokens an expert serves 40: 1.25 times an equal share.
        sparse = {"experts": 4, "expert_capacity": 40, "encoder_layers": 4, "decoder_layers": 2}
        model = switch.architecture("base-8", **{**SHAPE, **VOCABULARY, **sparse, **STABLE})
        # Each expert sees a part of the tokens: after as many steps as the others have, it is where its
        # input-blind predictor is.
        return tiny_books(
            model,
            SpanCorruption(inputs_length=128),
            TrainedSentencePiece(500),
            training=Training(steps=2 * STEPS),
        )
    text = Jsonl(("c4/en/*.json.gz",))
    return Run(
        model=switch.architecture(arg or "base-8", dropout=0.0, dtype="bfloat16", **STABLE),
        tokenizer=SentencePiece("spiece.model"),
        data=Data(
            train=Mixture((Corpus("c4", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("c4_held_out", text, documents=(0.999, 1.0)),),
            batch_size=2048,
        ),
        objective=SpanCorruption(),
        optimizer=Adafactor(),
        schedule=InverseSquareRoot(),
        training=Training(steps=500_000, balance_loss=1e-2),
    )
