"""FLAN instruction tuning: many tasks posed in plain English, packed, from a language-model-adapted T5 1.1.

    t2t train --config=flan:small --config.mesh.fsdp=8

begins with the Hugging Face directory `t5-small-lm-adapt` and reads the tasks' published files or
prepared TFDS datasets in `tasks`, both in the current folder, which you supply; elsewhere they are named by

    t2t train --config=flan:small:DIR '--config.initial.path=DIR/t5-small-lm-adapt'

Every training example stands in the mixture in five wordings (`t2t/tasks/instructions.py`; theirs are ten,
of 1,836 tasks). Tasks are mixed by their sizes, an example past the 3,000th adding nothing (Wei et al.
2022, section 2.1). Inference is left out, so that RTE and CB show what the model does when it is told to
do what it was not taught. Constant rate, dropout 0.05, 64 rows of 1,024 and 256, and the steps of each
size are those of Flan-T5 (Chung et al. 2022, arXiv:2210.11416, appendix E). Its own weights
(`google/flan-t5-SIZE`) are read as any T5 1.1's. Expected (published, there): MMLU, five examples shown,
28.7, 35.9, 45.1, 52.4 and 55.1 from small to xxl.

    t2t train --config=flan:tiny --workdir=runs/flan_tiny
    t2t eval --workdir=runs/flan_tiny --data=../shared/data/tasks \
        --tasks=sst2_sentences_instructed,glue_rte_instructed,super_glue_cb_instructed

is done in minutes on two CPU cores, from parameters drawn at random, on seven tasks whose training
files are in `../shared/data/tasks`. Expected after its first 200 steps (`--config.training.steps=200
--config.evaluation.every_steps=100`, two minutes of one core): 0.351 nat a held-out token of SST-2, which
is to know that the answer is one of its two words and its end, and to guess between them (0.347). What
more the rest teaches is not measured.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Task
from t2t.data.tokenizer_config import RunTokenizer, TrainedSentencePiece
from t2t.evaluation.config import Judging
from t2t.models.families import t5_1_1
from t2t.objectives.config import TextToText
from t2t.run import Run
from t2t.tasks.instructions import SUFFIX, WORDINGS
from t2t.tiny_books import ADAM, RATE, SHAPE, STACKS, STEPS
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Monitoring, Training
from t2t.training.initial_config import FromHuggingFace
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import Constant

# size -> steps
PUBLISHED = {"small": 98_000, "base": 84_000, "large": 64_000, "xl": 38_000, "xxl": 14_000}
TASKS = (
    "glue_sst2",
    "glue_cola",
    "glue_mrpc",
    "glue_qqp",
    "glue_stsb",
    "super_glue_boolq",
    "super_glue_wic",
    "wmt16_enro",
    "xsum",
    "cnn_dailymail",
)
UNSEEN = ("super_glue_rte", "super_glue_cb")
TINY = (
    "sst2_sentences",
    "glue_cola",
    "glue_mrpc",
    "glue_stsb",
    "boolq",
    "multi30k_ende",
    "multi30k_deen",
)
CAP = 3000 * WORDINGS


def get_config(arg: str = "base") -> Run:
    """arg: small, base, large, xl, xxl or tiny; or SIZE:FOLDER, that of the tasks."""
    size, _, folder = arg.partition(":")
    if size == "tiny":
        return _tiny(folder or "../shared/data/tasks")
    size = size or "base"
    model = t5_1_1.architecture(size, dtype="bfloat16", dropout=0.05)
    return Run(
        model=model,
        initial=FromHuggingFace(f"t5-{size}-lm-adapt"),
        tokenizer=RunTokenizer(),
        data=_data(TASKS, folder or "tasks", batch_size=64),
        objective=TextToText(inputs_length=1024, targets_length=256),
        optimizer=Adafactor(),
        schedule=Constant(peak=5e-4),
        training=Training(steps=PUBLISHED[size]),
        evaluation=Evaluation(
            every_steps=2000,
            tasks=tuple(name + SUFFIX for name in UNSEEN),
            judging=Judging(data=folder or "tasks", resamples=0),
        ),
        checkpoints=Checkpoints(every_steps=2000),
    )


def _data(tasks: tuple[str, ...], folder: str, batch_size: int) -> Data:
    def corpus(name: str, split: str) -> Corpus:
        return Corpus(f"{name}_{split}", Task(name + SUFFIX, split, data=folder))

    return Data(
        train=Mixture(tuple(corpus(name, "train") for name in tasks), "size", maximum=CAP),
        evaluation=(corpus(tasks[0], "validation"),),
        order="packed",
        batch_size=batch_size,
    )


def _tiny(folder: str) -> Run:
    return Run(
        model=t5_1_1.architecture("base", **{**SHAPE, "dropout": 0.05}, **STACKS, vocab_size=4096),
        tokenizer=TrainedSentencePiece(3900),
        data=_data(TINY, folder, batch_size=16),
        objective=TextToText(inputs_length=256, targets_length=64),
        optimizer=ADAM,
        schedule=RATE,
        training=Training(steps=STEPS),
        evaluation=Evaluation(every_steps=400, batches=0),
        checkpoints=Checkpoints(every_steps=400),
        monitoring=Monitoring(tensorboard=False),
    )
