"""T5 v1.1 small on public-domain books with T5's vocabulary: one CPU (slow) or one GPU.

    t2t train --config=books_small --config.tokenizer.path=DIR/t5_spiece.model \
        '--config.data.train.corpora[0].source.paths=DIR/books.train.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/books.validation.jsonl.gz'

The books (JSON lines, key `text`) and the vocabulary are yours to supply; without the three flags
they are looked for in `../shared/data`. `books_small:tiny` is for one CPU, half an hour of two cores:
a narrow model with a vocabulary of its own, 8,000 pieces trained on the books, half of whose tokens
are masked, so that a row of 128 gives a hundred tokens to learn from and not twenty:

    t2t train --config=books_small:tiny

Expected: the closing line shows a held-out loss under that of the best predictor that cannot see
the input, and a higher one with the inputs exchanged between rows. `books_small:tiny` on two shared
CPU cores: 9.52, 5.25, 4.81, 4.63, 4.45 after 0, 200, 400, 800 and 2,000 steps; at the end 4.442 where
that predictor has 4.628, and 4.493 with exchanged inputs.

    t2t train --config=books_small:encoder

is an encoder alone (BERT's, three layers of 192, with T5's relative positions) for the same time: three
in ten of its tokens are masked. With positions relative it looks at what stands beside a mask from the
first hundred steps on, so that 20 million tokens teach it far more than they do an encoder-decoder;
`configs/sst2.py` begins with it. Expected, in 27 minutes of one core: 9.05, 4.60, 4.05, 3.81 and 3.61
after 0, 1,000, 2,000, 3,000 and 5,000 steps, where the predictor that sees nothing but the place itself
has 5.69.
"""

import dataclasses

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import SentencePiece, TrainedSentencePiece, TrainedSubwords
from t2t.errors import UserError
from t2t.models.families import bert, t5_1_1
from t2t.objectives.config import MaskedLM, SpanCorruption
from t2t.run import Run
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Training
from t2t.training.optimizer_config import Adafactor, AdamW, AdamWScale
from t2t.training.schedule_config import Cosine, InverseSquareRoot

FOLDER = "../shared/data"


def get_config(arg: str = "") -> Run:
    """arg: nothing (v1.1 small, 512/114, 128 rows), tiny (128/129, 32 rows) or encoder (64, 64 rows)."""
    if arg not in ("", "tiny", "encoder"):
        raise UserError(f"--config=books_small:{arg}: the argument is nothing, tiny or encoder")
    train = Jsonl((f"{FOLDER}/corpora/books.train.jsonl.gz",))
    held_out = Jsonl((f"{FOLDER}/corpora/books.validation.jsonl.gz",))
    run = Run(
        model=t5_1_1.architecture("small"),
        tokenizer=SentencePiece(f"{FOLDER}/tokenizers/t5_spiece.model"),
        data=Data(
            train=Mixture((Corpus("books", train),)),
            evaluation=(Corpus("books_held_out", held_out),),
            batch_size=128,
        ),
        objective=SpanCorruption(),
        optimizer=Adafactor(),
        schedule=InverseSquareRoot(warmup_steps=1000, decay_share=0.1),
        training=Training(steps=10_000),
        evaluation=Evaluation(every_steps=500, batches=10, examples=4, input_blind=True),
        checkpoints=Checkpoints(every_steps=500),
    )
    if not arg:
        return run
    # Half an hour of one CPU: a narrow model, and 8,000 pieces of the books' own.
    run = dataclasses.replace(
        run, tokenizer=TrainedSentencePiece(vocabulary_size=8000, sample_bytes=10_000_000)
    )
    if arg == "encoder":
        return dataclasses.replace(
            run,
            tokenizer=TrainedSubwords("wordpiece", 8192, sample_bytes=10_000_000),
            model=bert.architecture(
                "base",
                vocab_size=8192,
                d_model=192,
                heads=6,
                head_dim=32,
                d_ff=384,
                encoder_layers=3,
                learned_positions=0,
                relative_bias="shared",
                token_types=0,
                pair_classes=0,
                dropout=0.0,
            ),
            data=dataclasses.replace(run.data, batch_size=64),
            objective=MaskedLM(64, rate=0.3),
            optimizer=AdamW(b2=0.98, epsilon=1e-6),
            schedule=Cosine(peak=2e-3, warmup_steps=200, final=1e-5),
            training=Training(steps=5000, z_loss=0.0),
            evaluation=Evaluation(every_steps=500, batches=40, input_blind=True),
            checkpoints=Checkpoints(every_steps=500),
        )
    # Adafactor and 1/sqrt(step) need thousands of steps; this pair learns in hundreds.
    return dataclasses.replace(
        run,
        model=t5_1_1.architecture(
            "small",
            vocab_size=8192,
            d_model=256,
            heads=4,
            head_dim=64,
            d_ff=512,
            encoder_layers=3,
            decoder_layers=1,
        ),
        data=dataclasses.replace(run.data, batch_size=32),
        objective=SpanCorruption(inputs_length=128, noise_density=0.5),
        optimizer=AdamWScale(),
        schedule=Cosine(peak=0.02, warmup_steps=100, final=1e-5),
        training=Training(steps=2500),
        evaluation=dataclasses.replace(run.evaluation, every_steps=250),
        checkpoints=Checkpoints(every_steps=250),
    )
