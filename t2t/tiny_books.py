"""A family's tiny run: minutes on two CPU cores, on public-domain books, its own small vocabulary.

What all families share stands here, so that their figures are comparable; a recipe gives the model,
the objective and the kind of vocabulary.
"""

import dataclasses

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Tokenizer
from t2t.models.architecture import Architecture
from t2t.objectives.config import Objective
from t2t.run import Run
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Monitoring, Training
from t2t.training.optimizer_config import AdamW, AdamWScale, Optimizer
from t2t.training.schedule_config import Cosine, Linear, Schedule

BOOKS = "../shared/data/corpora/books.validation.jsonl.gz"
STEPS = 800
# Fields of an architecture.
SHAPE = {"d_model": 128, "heads": 4, "head_dim": 32, "d_ff": 256, "dropout": 0.0}
STACKS = {"encoder_layers": 3, "decoder_layers": 3}
# 500 pieces, sentinels and special tokens: so few that what stands beside a token says much about it from
# the first hundred steps on. Of 1,000, T5 ended 0.05 nat under its baseline and Switch above it.
VOCABULARY = {"vocab_size": 640}
# Relative to each parameter's own size, so that one rate serves T5's large initial embeddings too.
ADAM = AdamWScale()
RATE = Cosine(peak=0.03, warmup_steps=50, final=1e-5)
# For families whose parameters all begin small.
PLAIN = {"optimizer": AdamW(epsilon=1e-6), "schedule": Linear(peak=2e-3, warmup_steps=50)}
# Of masked text, as many tokens a batch in rows this short: attention, at first all over a row, then
# meets what stands beside a mask. In rows of 128, with absolute positions, 3,000 steps taught BERT's kin
# nothing but to copy the tokens that masking leaves.
MASKED_LENGTH = 16
MASKED = {**PLAIN, "rows": 256}


def tiny_books(
    model: Architecture,
    objective: Objective,
    tokenizer: Tokenizer,
    optimizer: Optimizer = ADAM,
    schedule: Schedule = RATE,
    rows: int = 32,
    **changes,
) -> Run:
    """Returns the run: 800 steps on six books, two others held out.

    rows: of a batch. changes: of the Run's other fields.
    """
    books = Jsonl((BOOKS,))
    run = Run(
        model=model,
        tokenizer=tokenizer,
        data=Data(
            train=Mixture((Corpus("books", books, documents=(0.0, 0.75)),)),
            evaluation=(Corpus("books_held_out", books, documents=(0.75, 1.0)),),
            batch_size=rows,
        ),
        objective=objective,
        optimizer=optimizer,
        schedule=schedule,
        training=Training(steps=STEPS),
        # The input-blind baseline is fitted to these very rows: few of them would flatter it.
        evaluation=Evaluation(every_steps=400, batches=40, input_blind=True),
        checkpoints=Checkpoints(every_steps=400),
        monitoring=Monitoring(tensorboard=False),
    )
    return dataclasses.replace(run, **changes)
