"""ALBERT pre-training (masked n-grams and sentence order, 4096 rows of 512, LAMB), by size.

    t2t train --config=albert:base --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and its `tokenizer.json` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=albert:base --config.tokenizer.path=DIR/tokenizer.json \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

125,000 steps (arXiv:1909.11942) of LAMB as google-research/albert runs it, without bias correction and
without ratios for norms and biases; version 2 trained longer and without dropout. Published, once
fine-tuned, version 2: base MNLI 84.6, SQuAD 1.1 F1 90.2; xxlarge 90.6, 94.6.

    t2t train --config=albert:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss of 4.67 where the best predictor that sees nothing but
the place itself has 4.88.
"""

import dataclasses

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import albert
from t2t.objectives.config import MaskedLM, NGrams
from t2t.run import Run
from t2t.tiny_books import MASKED, MASKED_LENGTH, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import Lamb
from t2t.training.schedule_config import Linear


def get_config(arg: str = "base") -> Run:
    """arg: base, large, xlarge, xxlarge or tiny."""
    objective = MaskedLM(unit=NGrams(3), pairs="sentence_order")
    if arg == "tiny":
        model = albert.architecture(
            "base", **SHAPE, encoder_layers=3, vocab_size=1024, d_embedding=64
        )
        return tiny_books(
            model,
            dataclasses.replace(objective, length=MASKED_LENGTH),
            TrainedSubwords("wordpiece", 1024),
            **MASKED,
        )
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=albert.architecture(arg or "base", dtype="bfloat16"),
        tokenizer=Subwords("tokenizer.json"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="packed",
            batch_size=4096,
        ),
        objective=objective,
        optimizer=Lamb(),
        schedule=Linear(peak=1.76e-3, warmup_steps=3125),
        training=Training(steps=125_000, z_loss=0.0),
    )
