"""BERT pre-training (masked tokens and next sentences, 256 rows of 512, Adam), by size.

    t2t train --config=bert:base --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and BERT's `vocab.txt` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=bert:base --config.tokenizer.path=DIR/vocab.txt \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

Wikipedia and books, a document each, are what it was published with: 1,000,000 steps, the first
900,000 on rows of 128 tokens. The command above has all of them on rows of 512, since rows of another
length are other samples, which a run does not change to. As published it is two runs, the second begun
with the parameters of the first and other rows (another seed), on the rates where the first has left
them, after a short warm-up (ours) for Adam's moments, which are new:

    t2t train --config=bert:base --workdir=runs/bert_128 --config.objective.length=128 \
        --config.training.steps=900000 --config.schedule.final=1e-5
    t2t train --config=bert:base --workdir=runs/bert_512 '--config.initial=FromRun("runs/bert_128")' \
        --config.tokenizer=RunTokenizer --config.training.steps=100000 --config.training.seed=1 \
        --config.schedule.peak=1e-5 --config.schedule.warmup_steps=1000

Adam has no bias correction, as in google-research/bert. Published, once fine-tuned (arXiv:1810.04805): SQuAD 1.1 F1 88.5, MNLI 84.6.

    t2t train --config=bert:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss of 4.45 where the best predictor that sees nothing but
the place itself has 5.37. With stochastic depth, the last layer skipped by a fifth of the rows:

    t2t train --config=bert:tiny --config.model.layer_dropout=0.2
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import bert
from t2t.objectives.config import MaskedLM
from t2t.run import Run
from t2t.tiny_books import MASKED, MASKED_LENGTH, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear


def get_config(arg: str = "base") -> Run:
    """arg: base, large or tiny."""
    if arg == "tiny":
        model = bert.architecture("base", **SHAPE, encoder_layers=3, vocab_size=1024)
        return tiny_books(
            model,
            MaskedLM(MASKED_LENGTH, pairs="next_sentence"),
            TrainedSubwords("wordpiece", 1024),
            **MASKED,
        )
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=bert.architecture(arg or "base", dtype="bfloat16"),
        tokenizer=Subwords("vocab.txt"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="packed",
            batch_size=256,
        ),
        objective=MaskedLM(pairs="next_sentence", short_share=0.1, static_copies=10),
        optimizer=AdamW(epsilon=1e-6, bias_correction=False),
        schedule=Linear(peak=1e-4, warmup_steps=10_000),
        training=Training(steps=1_000_000, z_loss=0.0),
    )
