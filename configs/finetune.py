"""T5's fine-tuning on one task (Raffel et al. 2020, section 3.1.2): constant rate, dropout, packed.

    t2t train --config=finetune:sst2_sentences --workdir=runs/sst2 \
        '--config.initial=FromRun("runs/books_small")' --config.tokenizer=RunTokenizer

The first argument is a task (`t2t tasks` lists them) or the `.toml` file of your own; published
files are looked for in `../shared/data/tasks`, elsewhere with

    t2t train --config=finetune:glue_mnli '--config.data.train.corpora[0].source.data=DIR' \
        '--config.data.evaluation[0].source.data=DIR'

The model is v1.1 small; without `initial` it is drawn at random, with T5's vocabulary from
`../shared/data/tokenizers`. `finetune:TASK:FROM` takes model, vocabulary and parameters from the run
or Hugging Face directory FROM, whatever its size or family: a decoder alone goes on with the input, an
encoder alone gets a classifier of the task's labels on its [CLS], trained as BERT's is, on the one or two
texts of each example as published (arXiv:1810.04805, section 4.1: AdamW at 5e-5; 6,300 steps are 3 epochs
of SST-2), or on T5's words with `--config.objective.plain=false`. Label words at masks, by which a masked
model is asked as it is, it is trained on with

    --config.objective=TextToText --config.model.pair_classes=N      # N: as FROM has them

By `finetune:squad:FROM` any encoder alone points at where the answer begins and ends in the context,
which is judged while it is trained and by

    t2t eval --workdir=runs/squad --tasks=squad --data=../shared/data/tasks

That is BERT's own fine-tuning (arXiv:1810.04805, section 4.2): 3 epochs of 32 windows a batch, AdamW
at 5e-5, the head of two logits a token drawn at random. `train-v1.1.json` and `dev-v1.1.json` are
yours to supply; `finetune:squad_v2:FROM` takes those of version 2.0, some of whose questions have no
answer. Expected of BERT base (published, not measured here): 80.8 exact match, 88.5 F1 on the
development set (their table 2), judged by the task's own metrics as T5 is.

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
from t2t.evaluation.config import Judging
from t2t.interop.opening import is_published
from t2t.models.architecture import ENCODER, Architecture
from t2t.models.families import t5_1_1
from t2t.objectives.classes_config import Classes
from t2t.objectives.config import TextToText
from t2t.objectives.extractive_config import for_positions
from t2t.run import Run
from t2t.tasks import catalog
from t2t.tasks import task as tasks
from t2t.trained import load_trained
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Training
from t2t.training.initial_config import FromHuggingFace, FromRun
from t2t.training.optimizer_config import Adafactor, AdamW
from t2t.training.schedule_config import Constant, Linear

FOLDER = "../shared/data"


def get_config(arg: str = "") -> Run:
    """arg: TASK or TASK:FROM; FROM is the directory of a run, or a Hugging Face one."""
    name, _, base = arg.partition(":")
    if not name:
        raise UserError("--config=finetune: name a task, as in finetune:glue_sst2")
    task = catalog.find(name)
    model = load_trained(base, begins=True).model if base else None
    initial = None
    if base:
        initial = FromHuggingFace(base) if is_published(base) else FromRun(base)

    def corpus(split: str, called: str) -> Corpus:
        return Corpus(called, Task(name, split, data=f"{FOLDER}/tasks"))

    held_out = () if task.judged == "train" else (corpus(task.judged, task.judged),)
    best = f"eval/{task.judged}/loss" if held_out else ""
    run = Run(
        model=_dropping(model or t5_1_1.architecture("small")),
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
    if run.model.stacks != ENCODER:
        return run
    if task.extractive:
        return _pointing(run, task)
    return _classifying(run, task) if task.labels else run


def _classifying(run: Run, task: tasks.Task) -> Run:
    """The run of an encoder alone that tells a task's labels: BERT's fine-tuning on GLUE."""
    length = min(task.inputs_length, run.model.positions or task.inputs_length)
    return dataclasses.replace(
        run,
        model=dataclasses.replace(run.model, pair_classes=len(task.labels)),
        data=dataclasses.replace(run.data, order="shuffled", batch_size=32),
        objective=Classes(task.labels, length, plain=True),
        optimizer=AdamW(epsilon=1e-6),
        schedule=Linear(peak=5e-5, warmup_steps=630),
        training=Training(steps=6300, z_loss=0.0),
        evaluation=Evaluation(every_steps=500),
        checkpoints=dataclasses.replace(run.checkpoints, every_steps=500),
    )


def _dropping(model: Architecture) -> Architecture:
    """With dropout; within experts, which see few of a task's tokens each, more of it (Switch, table 4)."""
    return dataclasses.replace(model, dropout=0.1, expert_dropout=0.4 if model.experts else 0.0)


def _pointing(run: Run, task: tasks.Task) -> Run:
    """The run of an encoder alone that points at answers: BERT's fine-tuning on SQuAD."""
    spans = for_positions(run.model.positions)
    if task.unanswerable:
        spans = dataclasses.replace(spans, null_threshold=0.0)
    return dataclasses.replace(
        run,
        model=dataclasses.replace(run.model, token_classes=2),
        data=dataclasses.replace(run.data, order="shuffled", batch_size=32),
        objective=spans,
        optimizer=AdamW(epsilon=1e-6),
        schedule=Linear(peak=5e-5, warmup_steps=830),
        training=Training(steps=8300, z_loss=0.0),
        evaluation=Evaluation(
            every_steps=1000,
            tasks=(task.name,),
            judging=Judging(data=f"{FOLDER}/tasks", resamples=0),
        ),
        checkpoints=Checkpoints(
            every_steps=1000,
            keep_latest=1,
            keep_best=1,
            best_metric=f"eval/{task.name}/f1",
            best_mode="max",
        ),
    )
