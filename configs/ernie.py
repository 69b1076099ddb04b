"""ERNIE 1.0 pre-training (words, phrases and entities are masked whole, next sentences; Adam).

    t2t train --config=ernie:1.0-zh --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`, and key `spans`: [begin, end, "phrase"] and
[begin, end, "entity"] in characters, as a segmenter found them) and ERNIE's `vocab.txt` in the current
folder, which you supply; elsewhere they are named by

    t2t train --config=ernie:1.0-zh --config.tokenizer.path=DIR/vocab.txt \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

A unit is drawn with probability 0.15, for itself, and each of its tokens is then masked by 0.8, made
random by 0.1. The paper's stages (arXiv:1904.09223, section 3.2) are runs that begin with one another:
`--config.objective.unit='ExternalSpans(1, 0, 0)'` is basic, `(0, 1, 0)` phrases, `(0, 0, 1)` entities;
here each has a third of the examples. Rates are the released script's; batch and length are ours.
Dialogues (section 3.3) are such a run too, of documents whose turns are spans, [begin, end, "query"] and
[begin, end, "response"]: up to three turns, each with its role's embedding in place of the segment's, and
one of them another dialogue's half of the time:

    t2t train --config=ernie:1.0-zh --config.objective.pairs=dialogue \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz' \
        --config.initial='FromRun("FROM")' --config.tokenizer=RunTokenizer

    t2t train --config=ernie:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with the spans that
`python -m benchmarks.book_spans ../shared/data/corpora/books.validation.jsonl.gz runs/book_spans.jsonl`
writes, and with a vocabulary of its own. Expected: the closing line compares the held-out loss with
that of the best predictor that cannot see the input.
"""

from t2t.data.config import Data, all_but_a_share
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import ernie
from t2t.objectives.config import ExternalSpans, MaskedLM
from t2t.run import Run
from t2t.tiny_books import MASKED, MASKED_LENGTH, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear

UNIT = ExternalSpans(basic=1 / 3, phrase=1 / 3, entity=1 / 3)


def corpora(path: str, held_out: float) -> dict:
    return all_but_a_share(Jsonl((path,), spans="spans"), held_out, "books_held_out")


def get_config(arg: str = "1.0-zh") -> Run:
    """arg: 1.0-zh or tiny."""
    if arg == "tiny":
        model = ernie.architecture(
            "1.0-zh", **SHAPE, encoder_layers=3, vocab_size=1024, token_types=2
        )
        return tiny_books(
            model,
            MaskedLM(MASKED_LENGTH, unit=UNIT, pairs="next_sentence"),
            TrainedSubwords("wordpiece", 1024),
            **MASKED,
            data=Data(**corpora("runs/book_spans.jsonl", 0.25), batch_size=MASKED["rows"]),
        )
    return Run(
        model=ernie.architecture(arg or "1.0-zh", dtype="bfloat16"),
        tokenizer=Subwords("vocab.txt"),
        data=Data(**corpora("text/*.jsonl.gz", 0.001), order="packed", batch_size=256),
        objective=MaskedLM(unit=UNIT, pairs="next_sentence"),
        optimizer=AdamW(epsilon=1e-6),
        schedule=Linear(peak=1e-4, warmup_steps=5_000),
        training=Training(steps=1_000_000, z_loss=0.0),
    )
