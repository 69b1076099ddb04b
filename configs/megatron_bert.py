"""Megatron-LM's BERT (masked n-grams and sentence order, 1024 rows of 512, Adam), by size.

    t2t train --config=megatron_bert:345m --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and BERT's `vocab.txt` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=megatron_bert:345m --config.tokenizer.path=DIR/vocab.txt \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

2,000,000 steps (Shoeybi et al. 2019, section 4.2). Published, once fine-tuned: 3.9b MNLI 91.4, SQuAD 1.1
F1 95.5.

    t2t train --config=megatron_bert:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss of 4.69 where the best predictor that sees nothing but
the place itself has 4.88.
"""

import dataclasses

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import megatron_bert
from t2t.objectives.config import MaskedLM, NGrams
from t2t.run import Run
from t2t.tiny_books import MASKED, MASKED_LENGTH, SHAPE, STEPS, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear


def get_config(arg: str = "345m") -> Run:
    """arg: 345m, 1.3b, 3.9b or tiny."""
    objective = MaskedLM(unit=NGrams(3), pairs="sentence_order")
    if arg == "tiny":
        model = megatron_bert.architecture("345m", **SHAPE, encoder_layers=3, vocab_size=1024)
        return tiny_books(
            model,
            dataclasses.replace(objective, length=MASKED_LENGTH),
            TrainedSubwords("wordpiece", 1024),
            training=Training(steps=2 * STEPS),
            **MASKED,
        )
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=megatron_bert.architecture(arg or "345m", dtype="bfloat16"),
        tokenizer=Subwords("vocab.txt"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="packed",
            batch_size=1024,
        ),
        objective=objective,
        optimizer=AdamW(),
        schedule=Linear(peak=1e-4, warmup_steps=10_000),
        training=Training(steps=2_000_000, z_loss=0.0),
    )
