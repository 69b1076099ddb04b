"""GPT-3 pre-training (causal, rows of 2048, AdamW; 300 billion tokens), by size.

    t2t train --config=gpt3:small --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and the vocabulary `vocab.json` and `merges.txt` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=gpt3:small --config.tokenizer.path=DIR/vocab.json \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

Rates, batches, warm-up and a cosine that ends after 260 of the 300 billion tokens are those of Brown et
al. 2020, table 2.1 and appendix B. All layers are dense here: theirs alternate with "locally banded sparse"
ones, whose band is not published. One of so many tokens, in every other layer from the first on, is

    t2t train --config=gpt3:small --config.model.window=256 --config.model.window_every=2

Batches grow from 32 thousand
tokens, linearly in the tokens read, here in 16 stages, over the first 4 billion (small) to 12 billion
(175b; the sizes between are ours). A mesh whose rows do not divide the smallest batch, of 16, needs
`'--config.data.batch_ramp=()'` and more steps. Published, the largest: LAMBADA 76.2 % zero-shot.

    t2t train --config=gpt3:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss under that of the best predictor that cannot see
the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import gpt3
from t2t.objectives.config import CausalLM
from t2t.run import Run
from t2t.tiny_books import PLAIN, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Cosine

# size -> (peak of the learning rate, rows of a batch, tokens until batches have so many)
PUBLISHED = {
    "small": (6e-4, 256, 4e9),
    "medium": (3e-4, 256, 4e9),
    "large": (2.5e-4, 256, 4e9),
    "xl": (2e-4, 512, 6e9),
    "2.7b": (1.6e-4, 512, 6e9),
    "6.7b": (1.2e-4, 1024, 8e9),
    "13b": (1e-4, 1024, 8e9),
    "175b": (6e-5, 1536, 12e9),
}
LENGTH = 2048
FIRST_ROWS = 16  # 32 thousand tokens
STAGES = 16  # each is compiled on its own


def ramp(rows: int, tokens: float) -> tuple[tuple[int, int], ...]:
    """Returns ((until_step, rows), ...): from FIRST_ROWS to `rows`, linearly over the first `tokens`."""
    pieces, step = [], 0
    for stage in range(STAGES):
        size = FIRST_ROWS + (rows - FIRST_ROWS) * stage / STAGES
        size = FIRST_ROWS * round(size / FIRST_ROWS)
        step += round(tokens / STAGES / (size * LENGTH))
        pieces.append((step, size))
    return tuple(pieces)


def steps_of(tokens: float, pieces: tuple[tuple[int, int], ...], rows: int) -> int:
    """Returns how many steps read so many tokens: first those of the ramp, then of `rows`."""
    before = 0
    for until, size in pieces:
        if tokens < (until - before) * size * LENGTH:
            return before + int(tokens / (size * LENGTH))
        tokens -= (until - before) * size * LENGTH
        before = until
    return before + int(tokens / (rows * LENGTH))


def get_config(arg: str = "small") -> Run:
    """arg: small, medium, large, xl, 2.7b, 6.7b, 13b, 175b or tiny."""
    if arg == "tiny":
        model = gpt3.architecture("small", **SHAPE, decoder_layers=3, vocab_size=1024)
        return tiny_books(model, CausalLM(128), TrainedSubwords("byte_bpe", 1024), **PLAIN)
    model = gpt3.architecture(arg or "small", dtype="bfloat16", remat="full")
    peak, rows, ramped = PUBLISHED[arg or "small"]
    pieces = ramp(rows, ramped)
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=model,
        tokenizer=Subwords("vocab.json"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="shuffled",
            batch_size=rows,
            batch_ramp=pieces,
        ),
        objective=CausalLM(LENGTH),
        optimizer=AdamW(b2=0.95, weight_decay=0.1),
        schedule=Cosine(
            peak=peak,
            warmup_steps=steps_of(375e6, pieces, rows),
            final=peak / 10,
            decay_steps=steps_of(260e9, pieces, rows),
        ),
        training=Training(steps=steps_of(300e9, pieces, rows), z_loss=0.0),
    )
