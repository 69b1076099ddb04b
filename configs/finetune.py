"""T5's fine-tuning on one task (Raffel et al. 2020, section 3.1.2): constant rate, dropout, packed.

    t2t train --config=finetune:sst2_sentences --workdir=runs/sst2 \
        '--config.initial=FromRun("runs/books_small")' --config.tokenizer=RunTokenizer

The first argument is a task (`t2t tasks` lists them) or the `.toml` file of your own; published
files are looked for in `../shared/data/tasks`, elsewhere with

    t2t train --config=finetune:glue_mnli '--config.data.train.corpora[0].source.data=DIR' \
        '--config.data.evaluation[0].source.data=DIR'

The model is v1.1 small; without `initial` it is drawn at random, with T5's vocabulary from
`../shared/data/tokenizers`. `finetune:TASK:FROM` takes model, vocabulary and parameters from the run
or Hugging Face directory FROM, whatever its size or family: a decoder alone goes on with the input,
an encoder alone is asked for label words at masks (tasks with choices).

Batch and steps are T5's: 2^18 steps of 128 packed rows, a checkpoint every 5,000, the five with the
least held-out loss kept. A small task needs far less: `--config.data.batch_size=8` (T5's for its
smallest) and `--config.training.steps=5000`. Expected: at the start the line
`train/sst2_sentences: 503 rows an epoch of 6,920 examples, encoder 99.60% and targets 32.76% filled`;
from T5's own small checkpoint, with GLUE's whole training set, an accuracy of 91.8 on SST-2's test
set (published, arXiv:1910.10683, table 14).
"""

import dataclasses

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Task
from t2t.data.tokenizer_config import RunTokenizer, SentencePiece
from t2t.errors import UserError
from t2t.interop.opening import is_published
from t2t.models.families import t5_1_1
from t2t.objectives.config import TextToText
from t2t.run import Run
from t2t.tasks import catalog
from t2t.trained import load_trained
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Training
from t2t.training.initial_config import FromHuggingFace, FromRun
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import Constant

FOLDER = "../shared/data"


def get_config(arg: str = "") -> Run:
    """arg: TASK or TASK:FROM; FROM is the directory of a run, or a Hugging Face one."""
    name, _, base = arg.partition(":")
    if not name:
        raise UserError("--config=finetune: name a task, as in finetune:glue_sst2")
    task = catalog.find(name)
    model = load_trained(base).model if base else None
    initial = None
    if base:
        initial = FromHuggingFace(base) if is_published(base) else FromRun(base)

    def corpus(split: str, called: str) -> Corpus:
        return Corpus(called, Task(name, split, data=f"{FOLDER}/tasks"))

    held_out = () if task.judged == "train" else (corpus(task.judged, task.judged),)
    best = f"eval/{task.judged}/loss" if held_out else ""
    return Run(
        model=dataclasses.replace(model or t5_1_1.architecture("small"), dropout=0.1),
        tokenizer=(
            RunTokenizer() if base else SentencePiece(f"{FOLDER}/tokenizers/t5_spiece.model")
        ),
        data=Data(
            train=Mixture((corpus("train", task.name),)), evaluation=held_out, order="packed"
        ),
        objective=TextToText(task.inputs_length, task.targets_length),
        optimizer=Adafactor(),
        schedule=Constant(peak=1e-3),
        training=Training(steps=2**18),
        evaluation=Evaluation(every_steps=5000),
        checkpoints=Checkpoints(every_steps=5000, keep_best=5 if held_out else 0, best_metric=best),
        initial=initial,
    )
