"""Sentiment of whole sentences (SST-2), from scratch or begun with a run pre-trained on books.

    t2t train --config=sst2 --workdir=runs/sst2_scratch
    t2t train --config=sst2 --workdir=runs/sst2 --config.tokenizer=RunTokenizer \
        '--config.initial=FromRun("runs/books_small_tiny")'

The second needs the run of `t2t train --config=books_small:tiny --config.training.steps=3000`.
`sst2:small` is the same with the model of `books_small`. The data are Stanford's sentences as one
TSV (`sst2_sentences.train.tsv.gz`: label, sentence) and GLUE's validation split
(`glue_sst2.validation.jsonl.gz`), yours to supply; without
--config.data.train.corpora[0].source.data=FOLDER and --config.data.evaluation[0].source.data=FOLDER
they are looked for in `../shared/data/tasks`.

Expected: both learn, and the run begun with pre-trained parameters ends lower in loss and higher in
accuracy on the 872 sentences. The accuracy of the metric rows is per target token; that of answers
comes from decoding them.
"""

import dataclasses

from t2t import recipes
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Task
from t2t.errors import UserError
from t2t.evaluation.config import Judging
from t2t.objectives.config import TextToText
from t2t.run import Run
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear

FOLDER = "../shared/data/tasks"


def get_config(arg: str = "") -> Run:
    """arg: nothing (the model of books_small:tiny) or small (that of books_small)."""
    if arg not in ("", "small"):
        raise UserError(f"--config=sst2:{arg}: the argument is nothing or small")
    base = recipes.get_config("books_small" if arg else "books_small:tiny", Run)
    return Run(
        model=dataclasses.replace(base.model, dropout=0.1),
        tokenizer=base.tokenizer,
        data=Data(
            train=Mixture((Corpus("sst2", Task("sst2_sentences", data=FOLDER)),)),
            evaluation=(
                Corpus("sst2_validation", Task("glue_sst2", split="validation", data=FOLDER)),
            ),
            batch_size=32,
        ),
        objective=TextToText(inputs_length=96, targets_length=8),
        optimizer=AdamW(),
        schedule=Linear(peak=1e-3, warmup_steps=50),
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
    )
