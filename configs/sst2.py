"""Sentiment of whole sentences (SST-2), begun with a run pre-trained on books, or from scratch.

    t2t train --config=sst2
    t2t train --config=sst2:scratch
    t2t eval --workdir=runs/sst2 --tasks=glue_sst2 --steps=best --data=../shared/data/tasks
    t2t compare runs/sst2 runs/sst2_scratch --tasks=glue_sst2

Both take model and vocabulary of `runs/books_small_encoder`, an encoder alone that half an hour of one
CPU has taught (`t2t train --config=books_small:encoder` makes it first); `sst2:scratch` draws its
parameters. The data are Stanford's 6,920 sentences as one TSV (`sst2_sentences.train.tsv.gz`: label,
sentence) and GLUE's validation split of 872 (`glue_sst2.validation.jsonl.gz`), yours to supply; they
are looked for in `../shared/data/tasks`, elsewhere with

    t2t train --config=sst2 '--config.data.train.corpora[0].source.data=DIR' \
        '--config.data.evaluation[0].source.data=DIR' --config.evaluation.judging.data=DIR

Expected, in 3 minutes of one core each: of the 872 begun with the books 81.8, 82.3, 81.2 and 81.8 % are
answered right (--config.training.seed=0 to 3, the best checkpoint of each; +-2.6 one alone), drawn at
random 79.9, 79.2, 79.7 and 79.5. Over the four pairs books are worth 2.2 points (paired bootstrap over
sentences, 95 %: 0.5 to 4.0), of the last checkpoints 2.1 (0.3 to 3.8). Word counts alone with a logistic
regression give 79.7, with vectors of the books' words beside them (word2vec) 81.1.
"""

import dataclasses

from t2t import recipes
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Task
from t2t.data.tokenizer_config import RunTokenizer
from t2t.errors import UserError
from t2t.evaluation.config import Judging
from t2t.objectives.config import TextToText
from t2t.run import Run
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Training
from t2t.training.initial_config import FromRun
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear

FOLDER = "../shared/data/tasks"
BASE = "runs/books_small_encoder"


def get_config(arg: str = "") -> Run:
    """arg: nothing (from the parameters of books_small:encoder) or scratch."""
    if arg not in ("", "scratch"):
        raise UserError(f"--config=sst2:{arg}: the argument is nothing or scratch")
    base = recipes.get_config("books_small:encoder", Run)
    return Run(
        model=dataclasses.replace(base.model, dropout=0.1),
        tokenizer=RunTokenizer(BASE),
        data=Data(
            train=Mixture((Corpus("sst2", Task("sst2_sentences", data=FOLDER)),)),
            evaluation=(
                Corpus("sst2_validation", Task("glue_sst2", split="validation", data=FOLDER)),
            ),
            batch_size=32,
        ),
        objective=TextToText(inputs_length=80, targets_length=8),
        optimizer=AdamW(epsilon=1e-6),
        schedule=Linear(peak=5e-4, warmup_steps=50),
        training=Training(steps=650, z_loss=0.0),
        evaluation=Evaluation(
            every_steps=50,
            batches=0,
            tasks=("glue_sst2",),
            judging=Judging(data=FOLDER, batch_size=128, resamples=0),
        ),
        checkpoints=Checkpoints(
            every_steps=50,
            keep_latest=1,
            keep_best=1,
            best_metric="eval/glue_sst2/accuracy",
            best_mode="max",
        ),
        initial=None if arg else FromRun(BASE),
    )
