"""ELECTRA pre-training (a generator writes, the model tells which tokens it wrote; Adam), by size.

    t2t train --config=electra:small --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and BERT's `vocab.txt` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=electra:small --config.tokenizer.path=DIR/vocab.txt \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

Rows, steps and rates are the published ones (arXiv:2003.10555, table 6): small 128 rows of 128, base 256
and large 2048 rows of 512. Adam has no bias correction. Published, once fine-tuned: MNLI 81.3, 88.8,
90.9.

    t2t train --config=electra:tiny

is done in eleven minutes of one CPU core, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss of the generator under that of the best predictor that
sees nothing but the place itself (4.30 against 4.96), and in `metrics.jsonl` the discriminator ends more
often right than who says that no token is replaced (`replaced_accuracy` 0.815, `original_share` 0.797).
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import electra
from t2t.objectives.config import MaskedLM
from t2t.run import Run
from t2t.tiny_books import MASKED, MASKED_LENGTH, SHAPE, STEPS, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear

# size -> (tokens of a row, share predicted, rows, steps, peak of the learning rate)
PUBLISHED = {
    "small": (128, 0.15, 128, 1_000_000, 5e-4),
    "base": (512, 0.15, 256, 766_000, 2e-4),
    "large": (512, 0.25, 2048, 400_000, 2e-4),
}


def objective(length: int, rate: float) -> MaskedLM:
    """ELECTRA's masks: 85 % of the places, the others are as they were."""
    return MaskedLM(length, rate, masked=0.85, random=0.0)


def get_config(arg: str = "small") -> Run:
    """arg: small, base, large or tiny."""
    if arg == "tiny":
        # What tells a replaced token is it and its neighbours together, which embeddings that begin small
        # and move fast lose: begun by N(0, 0.02), 4,000 steps taught the discriminator little but which
        # tokens are frequent.
        small = {**SHAPE, "encoder_layers": 3, "vocab_size": 1024, "initialization": "t5x"}
        half = {**small, "d_model": 64, "heads": 2, "d_ff": 128}
        return tiny_books(
            electra.architecture("small", **{**small, "d_embedding": 64}),
            # A quarter, as of the large size: the more is replaced, the sooner the discriminator says so.
            objective(MASKED_LENGTH, 0.25),
            TrainedSubwords("wordpiece", 1024),
            training=Training(steps=5 * STEPS),
            **MASKED,
            generator=electra.generator("small", **{**half, "d_embedding": 0}),
        )
    model = electra.architecture(arg or "small", dtype="bfloat16")
    length, rate, rows, steps, peak = PUBLISHED[arg or "small"]
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=model,
        generator=electra.generator(arg or "small", dtype="bfloat16"),
        tokenizer=Subwords("vocab.txt"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="packed",
            batch_size=rows,
        ),
        objective=objective(length, rate),
        optimizer=AdamW(epsilon=1e-6, bias_correction=False),
        schedule=Linear(peak=peak, warmup_steps=10_000),
        training=Training(steps=steps, z_loss=0.0),
    )
