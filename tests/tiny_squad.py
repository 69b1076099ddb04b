"""A run on questions over contexts that trains in seconds: `--config=tests/tiny_squad.py:FOLDER`.

`write_files` makes the folder: SQuAD's files as published, of who wears what, and a vocabulary.
"""

import dataclasses
import json
import pathlib

import numpy as np

from t2t.data.config import Corpus, Mixture
from t2t.data.source_config import Task
from t2t.data.tokenizer_config import Subwords
from t2t.models.families import bert
from t2t.objectives.config import ExtractiveSpans
from t2t.run import Run
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear
from tests import tiny

NAMES = ("Ann", "Bob", "Eve", "Tom", "Kim", "Zoë")
COLOURS = ("blue", "dark-red", "green", "pale  pink", "yellow", "black")
THINGS = ("hat", "coat", "scarf")


def write_vocabulary(folder: pathlib.Path) -> None:
    """Writes vocab.txt: letters, digits, marks, and words of these texts."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,;:?!'\"()-%$&/", *letters]
    pieces += [f"##{letter}" for letter in letters]
    words = "the of and what colour is has a in it they wears his her dark red pale pink old ##en"
    pieces += [*words.split(), *map(str.lower, (*NAMES[:5], *THINGS)), *("blue", "green", "black")]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(pieces)) + "\n")


def article(seed: int, questions: int) -> dict:
    """Contexts that say of some people what colour their things are, a question of each."""
    rng = np.random.default_rng(seed)
    paragraphs = []
    for number in range(questions):
        people = rng.permutation(len(NAMES))[: rng.integers(2, 5)]
        facts = [
            (NAMES[p], THINGS[rng.integers(3)], COLOURS[rng.integers(len(COLOURS))]) for p in people
        ]
        context, places = "", []
        for name, thing, colour in facts:
            begin = f"{name} has a {thing}; it is "
            places.append(len(context) + len(begin))
            context += f"{begin}{colour}.{' ' if rng.integers(2) else chr(10)}"
        asked = int(rng.integers(len(facts)))
        answers = [{"text": facts[asked][2], "answer_start": places[asked]}]
        question = f"What colour is the {facts[asked][1]} of {facts[asked][0]}?"
        qa = {"id": f"{seed}-{number}", "question": question, "answers": answers}
        paragraphs.append({"context": context, "qas": [qa]})
    return {"title": "clothes", "paragraphs": paragraphs}


def write_files(folder: pathlib.Path, questions: int, same: bool = False) -> str:
    """Writes train-v1.1.json, dev-v1.1.json (same: of the same questions) and vocab.txt; returns
    the folder."""
    write_vocabulary(folder)
    for name, seed in (("train", 0), ("dev", 0 if same else 1)):
        content = {"version": "1.1", "data": [article(seed, questions)]}
        (folder / f"{name}-v1.1.json").write_text(json.dumps(content))
    return str(folder)


def of(run: Run) -> str:
    """The folder of a run's files."""
    return run.data.train.corpora[0].source.data


def get_config(arg: str) -> Run:
    """arg: the folder; the cache of its stores is made in it."""
    run = tiny.get_config(f"{arg}/none.txt")
    model = bert.encoder(2, 32, 2, vocab_size=128, d_ff=64, learned_positions=96, dropout=0.0)
    return dataclasses.replace(
        run,
        model=dataclasses.replace(model, token_classes=2, pair_classes=0),
        tokenizer=Subwords(f"{arg}/vocab.txt"),
        data=dataclasses.replace(
            run.data,
            train=Mixture((Corpus("squad", Task("squad", data=arg)),)),
            evaluation=(Corpus("held_out", Task("squad", "validation", data=arg)),),
            cache_dir=f"{arg}/cache",
        ),
        objective=ExtractiveSpans(length=56, question_length=20, stride=12, answer_length=8),
        optimizer=AdamW(),
        schedule=Linear(peak=5e-3, warmup_steps=20),
        training=dataclasses.replace(run.training, steps=400, z_loss=0.0),
        evaluation=dataclasses.replace(
            run.evaluation,
            every_steps=400,
            batches=0,
            examples=2,
            tasks=("squad",),
            judging=dataclasses.replace(run.evaluation.judging, data=arg),
        ),
        checkpoints=dataclasses.replace(run.checkpoints, every_steps=400),
    )
