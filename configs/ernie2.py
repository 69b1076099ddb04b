"""ERNIE 2.0 pre-training (the tasks of its English model, in stages), by size.

    t2t train --config=ernie2:2.0-base --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`, and key `spans`: [begin, end, "phrase"] and
[begin, end, "entity"] in characters, as a segmenter found them) and BERT's `vocab.txt` in the current
folder, which you supply; elsewhere they are named by

    t2t train --config=ernie2:2.0-base --config.tokenizer.path=DIR/vocab.txt \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

Every example is of one task, which its task embedding tells: masked phrases and entities,
capitalisation, token-document relation, sentence reordering, discourse relation (arXiv:1907.12412,
section 4.2). Of the Chinese model's two more, sentence distance is a share of a `Stage`
(`config.objective.stages`), and IR relevance needs search logs, which nobody publishes. Whoever has such
pairs names their labels in `config.objective.relevance` (the model's `pair_classes` are then as many more,
its `task_types` 7) and puts them beside the text as a corpus of the mixture, whose rate is their share:
`Corpus("search", Task(own=OwnTask("search", "{query} {title}", "{label}", train="pairs.jsonl",
choices=("0", "1", "2"), texts=("{query}", "{title}"))))`. The discourse markers are ours, after Sileo et al.'s, whose list and
balanced pairs the paper takes: here a sentence of the text that begins with one is drawn, all alike likely.
Continual multi-task learning: `stages` begins with masked tokens alone and adds tasks one by one, never
dropping one; their lengths are ours. Batch (393,216 tokens), Adam and rate are the published ones.
Published, base, once fine-tuned: 80.6 on GLUE's test set.

    t2t train --config=ernie2:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with the spans that
`python -m benchmarks.book_spans ../shared/data/corpora/books.validation.jsonl.gz runs/book_spans.jsonl`
writes, and with a vocabulary of its own. Expected: `capital_loss`, `discourse_loss` and the other tasks'
fall in `metrics.jsonl`, beside the loss of the masked tokens.
"""

from t2t.data.config import Data, all_but_a_share
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import ernie
from t2t.objectives.config import ErnieTasks, Stage
from t2t.objectives.discourse_markers import MARKERS
from t2t.run import Run
from t2t.tiny_books import MASKED, MASKED_LENGTH, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import InverseSquareRoot

HEADS = {"task_types": 6, "token_classes": 4, "pair_classes": 12 + len(MARKERS)}


def stages(samples: int) -> tuple[Stage, ...]:
    """Tasks added one by one, each stage but the last of so many samples."""
    return (
        Stage(samples, 1.0, 0.0, 0.0, 0.0, 0.0),
        Stage(samples, 0.7, 0.3, 0.0, 0.0, 0.0),
        Stage(samples, 0.6, 0.2, 0.2, 0.0, 0.0),
        Stage(samples, 0.5, 0.15, 0.15, 0.2, 0.0),
        Stage(0, 0.4, 0.15, 0.15, 0.15, distance=0.0, discourse=0.15),
    )


def corpora(path: str, held_out: float) -> dict:
    return all_but_a_share(Jsonl((path,), spans="spans"), held_out, "books_held_out")


def get_config(arg: str = "2.0-base") -> Run:
    """arg: 2.0-base, 2.0-large or tiny."""
    if arg == "tiny":
        model = ernie.architecture("2.0-base", **SHAPE, encoder_layers=3, vocab_size=1024, **HEADS)
        return tiny_books(
            model,
            ErnieTasks(MASKED_LENGTH, stages=stages(80 * MASKED["rows"])),
            TrainedSubwords("wordpiece", 1024),
            **MASKED,
            data=Data(**corpora("runs/book_spans.jsonl", 0.25), batch_size=MASKED["rows"]),
        )
    return Run(
        model=ernie.architecture(arg or "2.0-base", dtype="bfloat16", **HEADS),
        tokenizer=Subwords("vocab.txt"),
        data=Data(**corpora("text/*.jsonl.gz", 0.001), order="packed", batch_size=768),
        objective=ErnieTasks(stages=stages(20_000_000)),
        optimizer=AdamW(b2=0.98, epsilon=1e-6),
        schedule=InverseSquareRoot(peak=5e-5, warmup_steps=4_000, warmup_from=0.0),
        training=Training(steps=500_000, z_loss=0.0),
    )
