"""RoBERTa pre-training (masked tokens, new masks every time, 8192 rows of 512), by size.

    t2t train --config=roberta:base --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and the vocabulary `vocab.json` and `merges.txt` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=roberta:base --config.tokenizer.path=DIR/vocab.json \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

Rows go on over the ends of documents and there are no pairs (arXiv:1907.11692): 500,000 steps.
Published, once fine-tuned: base MNLI 87.6, SST-2 94.8; large 90.2, 96.4.

    t2t train --config=roberta:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss of 4.58 where the best predictor that sees nothing but
the place itself has 5.40.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import roberta
from t2t.objectives.config import MaskedLM
from t2t.run import Run
from t2t.tiny_books import MASKED, MASKED_LENGTH, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear


def get_config(arg: str = "base") -> Run:
    """arg: base, large or tiny."""
    if arg == "tiny":
        model = roberta.architecture("base", **SHAPE, encoder_layers=3, vocab_size=1024)
        return tiny_books(
            model, MaskedLM(MASKED_LENGTH), TrainedSubwords("byte_bpe", 1024), **MASKED
        )
    peak, warmup = (4e-4, 30_000) if arg == "large" else (6e-4, 24_000)
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=roberta.architecture(arg or "base", dtype="bfloat16"),
        tokenizer=Subwords("vocab.json"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="shuffled",
            batch_size=8192,
        ),
        objective=MaskedLM(),
        optimizer=AdamW(b2=0.98, epsilon=1e-6, clip_global_norm=None),
        schedule=Linear(peak=peak, warmup_steps=warmup),
        training=Training(steps=500_000, z_loss=0.0),
    )
