"""English image captions into German (Multi30k, 29,000 pairs) on one CPU, from scratch or begun with books.

    t2t train --config=multi30k
    t2t train --config=multi30k:books
    t2t train --config=multi30k:from_books
    t2t eval --workdir=runs/multi30k_from_books --tasks=multi30k_ende --split=test_2016 --steps=all \
        --data=../shared/data/tasks

The captions (`multi30k.train.en.gz` and `.de.gz`, `val`, `test_2016_flickr`) and the books
(`../corpora/books.train.jsonl.gz` and `books.validation.jsonl.gz` beside their folder) are yours to
supply; elsewhere than in `../shared/data` they are named by

    t2t train --config=multi30k '--config.data.train.corpora[0].source.data=DIR' \
        '--config.data.evaluation[0].source.data=DIR' --config.evaluation.judging.data=DIR

A vocabulary of 8,000 pieces is trained on both languages first; the other two take it from
`runs/multi30k`. `multi30k:books`, which `from_books` begins with, fills spans in English books and in the captions, each language by itself.
While translation is trained, BLEU of the first 200 captions of `val` is written beside the loss;
`t2t eval --steps=all` gives the curve of all 1,000 of the test.

Expected on one CPU core, in 26 minutes (books: 12, then 22) and 4 for the curve: BLEU on the 1,000
captions of test_2016 after 500, 1,000, 1,500 and 2,000 steps of 27.3, 33.6, 36.3 and 36.4 [34.8, 38.1]
from scratch, and 26.9, 33.5, 36.9 and 37.5 [35.9, 39.1] begun with books, whose held-out loss ended at 3.89
(4.12 without their input). `t2t compare runs/multi30k_from_books runs/multi30k
--tasks=multi30k_ende.test_2016` finds those 1.2 BLEU with p = 0.012.
"""

import dataclasses

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl, Task, Text
from t2t.data.tokenizer_config import RunTokenizer, TrainedSentencePiece
from t2t.errors import UserError
from t2t.evaluation.config import Judging
from t2t.models.architecture import Architecture
from t2t.objectives.config import SpanCorruption, TextToText
from t2t.run import Run
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Training
from t2t.training.initial_config import FromRun
from t2t.training.optimizer_config import AdamWScale
from t2t.training.schedule_config import Cosine

FOLDER = "../shared/data/tasks"
SCRATCH, BASE = "runs/multi30k", "runs/multi30k_books"


def get_config(arg: str = "") -> Run:
    """arg: nothing (from scratch), books (what is pre-trained) or from_books (begun with that)."""
    if arg not in ("", "books", "from_books"):
        raise UserError(f"--config=multi30k:{arg}: the argument is nothing, books or from_books")

    def captions(split: str) -> Corpus:
        task = Task("multi30k_ende", split=split, data=FOLDER)
        return Corpus(f"multi30k_{split}", task)

    run = Run(
        model=Architecture(
            vocab_size=8192,
            d_model=256,
            heads=4,
            head_dim=64,
            d_ff=512,
            encoder_layers=3,
            decoder_layers=3,
            dropout=0.1,
        ),
        tokenizer=TrainedSentencePiece(vocabulary_size=8000),
        data=Data(
            train=Mixture((captions("train"),)),
            evaluation=(captions("validation"),),
            order="packed",
            batch_size=16,
        ),
        objective=TextToText(inputs_length=128, targets_length=128),
        optimizer=AdamWScale(),
        schedule=Cosine(peak=0.02, warmup_steps=100, final=1e-5),
        training=Training(steps=2000, label_smoothing=0.1),
        evaluation=Evaluation(
            every_steps=250,
            batches=0,
            tasks=("multi30k_ende",),
            judging=Judging(split="validation", limit=200, data=FOLDER, beams=1, resamples=0),
        ),
        checkpoints=Checkpoints(every_steps=500, keep_latest=4),
    )
    if not arg:
        return run
    # Of the captions alone: pieces that books too were asked for spell German in twice as many.
    run = dataclasses.replace(run, tokenizer=RunTokenizer(SCRATCH))
    if arg == "from_books":
        return dataclasses.replace(run, initial=FromRun(BASE))

    def told(name: str, *paths: str) -> Corpus:
        # Each side by itself: what belongs together is told by fine-tuning alone.
        return Corpus(name, Text(paths, documents="line"), rate=0.5)

    books = Corpus("books", Jsonl((f"{FOLDER}/../corpora/books.train.jsonl.gz",)))
    held_out = Jsonl((f"{FOLDER}/../corpora/books.validation.jsonl.gz",))
    english = told("english", f"{FOLDER}/multi30k.train.en.gz")
    german = told("german", f"{FOLDER}/multi30k.train.de.gz")
    return dataclasses.replace(
        run,
        model=dataclasses.replace(run.model, dropout=0.0),
        data=Data(
            train=Mixture((books, english, german)),
            evaluation=(Corpus("books_held_out", held_out),),
            batch_size=16,
        ),
        objective=SpanCorruption(inputs_length=128, noise_density=0.35),
        training=Training(steps=1500),
        evaluation=Evaluation(every_steps=500, batches=20, input_blind=True),
    )
