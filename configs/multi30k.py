"""English image captions into German (Multi30k, 29,000 pairs), from scratch on one CPU.

    t2t train --config=multi30k
    t2t eval --workdir=runs/multi30k --tasks=multi30k_ende --split=test_2016 --data=../shared/data/tasks

The captions (`multi30k.train.en.gz` and `.de.gz`, `val`, `test_2016_flickr`) and T5's vocabulary are
yours to supply; elsewhere than in `../shared/data` they are named by

    t2t train --config=multi30k --config.tokenizer.path=DIR/t5_spiece.model \
        '--config.data.train.corpora[0].source.data=DIR' \
        '--config.data.evaluation[0].source.data=DIR'

`--steps=all` of `t2t eval` gives the curve of BLEU over the checkpoints. Expected: a held-out loss
that falls throughout; BLEU of a model this small, trained for minutes, is low.
"""

import dataclasses

from t2t import recipes
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Task
from t2t.errors import UserError
from t2t.objectives.config import TextToText
from t2t.run import Run
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Training
from t2t.training.optimizer_config import AdamWScale
from t2t.training.schedule_config import Cosine

FOLDER = "../shared/data/tasks"


def get_config(arg: str = "") -> Run:
    """arg: nothing."""
    if arg:
        raise UserError(f"--config=multi30k:{arg}: takes no argument")

    def captions(split: str) -> Corpus:
        task = Task("multi30k_ende", split=split, data=FOLDER)
        return Corpus(f"multi30k_{split}", task)

    base = recipes.get_config("books_small:tiny", Run)
    return Run(
        model=dataclasses.replace(base.model, dropout=0.1),
        tokenizer=base.tokenizer,
        data=Data(
            train=Mixture((captions("train"),)),
            evaluation=(captions("validation"),),
            order="packed",
            batch_size=16,
        ),
        objective=TextToText(inputs_length=128, targets_length=128),
        optimizer=AdamWScale(),
        schedule=Cosine(peak=0.02, warmup_steps=50, final=1e-5),
        training=Training(steps=1000, label_smoothing=0.1),
        evaluation=Evaluation(every_steps=250, batches=0),
        checkpoints=Checkpoints(every_steps=250, keep_latest=4),
    )
