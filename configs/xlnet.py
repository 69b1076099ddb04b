"""XLNet pre-training (permutation LM with two streams and a memory; Adam), by size.

    t2t train --config=xlnet:large --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and XLNet's `tokenizer.json` in the current folder,
which you supply; elsewhere they are named by

    t2t train --config=xlnet:large --config.tokenizer.path=DIR/tokenizer.json \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

Rows are 512 tokens: 256 of text, then two segments, in half of the rows from two documents; 384 tokens
before them are remembered; half of a batch reads its text from the end (`both_ways`). One in six is
predicted. Steps, rows and rate are large's as published (arXiv:1906.08237, section 3.1 and appendix A:
8192 rows, 500,000 steps, 4e-4); base was published with the same. Published, once fine-tuned: MNLI 86.8
(base), 89.8 (large).

    t2t train --config=xlnet:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own, in rows
so short (16 tokens) that a memory of the 32 before them pays even in so small a model.
Expected: a held-out loss of 4.01 where the best predictor that cannot see the input has 5.71; without
the memory, `--config.objective.memory=0`, it is 4.05.
"""

import dataclasses

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import xlnet
from t2t.objectives.config import PermutationLM
from t2t.run import Run
from t2t.tiny_books import PLAIN, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear


def get_config(arg: str = "base") -> Run:
    """arg: base, large or tiny."""
    if arg == "tiny":
        run = tiny_books(
            xlnet.architecture("base", **SHAPE, encoder_layers=3, vocab_size=1024),
            PermutationLM(16, memory=32),
            TrainedSubwords("wordpiece", 1024),
            **PLAIN,
        )
        data = dataclasses.replace(run.data, order="streams", batch_size=256)
        return dataclasses.replace(run, data=data)
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=xlnet.architecture(arg or "base", dtype="bfloat16"),
        tokenizer=Subwords("tokenizer.json"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="streams",
            batch_size=8192,
        ),
        objective=PermutationLM(reuse=256, pairs=True, memory=384, both_ways=True),
        optimizer=AdamW(epsilon=1e-6),
        schedule=Linear(peak=4e-4, warmup_steps=40_000),
        training=Training(steps=500_000, z_loss=0.0),
    )
