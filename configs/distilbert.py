"""DistilBERT: six of BERT base's layers, trained to predict as BERT does (arXiv:1910.01108).

    t2t train --config=distilbert:base --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and the teacher, a Hugging Face directory
`bert-base-uncased` with its vocabulary, in the current folder, which you supply; elsewhere they are
named by

    t2t train --config=distilbert:base '--config.teacher.source=FromHuggingFace("DIR")' \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

The student begins as layers 0, 2, 4, 7, 9 and 11 of its teacher and reads no segment types; its
positions stay what they were. Rare tokens are masked more often (count to the power of -0.7; in the
tiny size all alike). Wikipedia and books, three epochs in batches of 2,000 rows, are what it was
published with; 12,500 steps are about that. Published, once fine-tuned: MNLI 82.1 (BERT 84.7),
SQuAD 1.1 F1 86.9.

    t2t train --config=distilbert:tiny --workdir=runs/distilbert_tiny

is done in minutes on two CPU cores, on the books of `../shared/data`: two of the three layers of the
BERT in `runs/bert_tiny`, which `t2t train --config=bert:tiny --workdir=runs/bert_tiny` trains
beforehand (elsewhere: `--config.teacher.source='FromRun("DIR")'`). Expected:
`teacher_divergence` of the held-out rows in `metrics.jsonl` ends under that of the same student
trained without its teacher (`--config.teacher.divergence_weight=0 --config.teacher.cosine_weight=0`):
0.278 nat against 0.929. Its own loss is 3.94, where who sees nothing but the place has 5.36.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import RunTokenizer
from t2t.models.families import bert, distilbert
from t2t.objectives.config import MaskedLM
from t2t.run import Run
from t2t.tiny_books import MASKED, MASKED_LENGTH, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.initial_config import FromHuggingFace, FromRun, FromTeacher
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear
from t2t.training.teacher_config import Teacher

# All but the positions, which DistilBERT leaves as BERT has them.
TRAINABLE = "(?!position_embedding/).*"


def get_config(arg: str = "base") -> Run:
    """arg: base or tiny."""
    if arg == "tiny":
        small = {**SHAPE, "vocab_size": 1024}
        teacher = bert.architecture("base", **small, encoder_layers=3)
        return tiny_books(
            distilbert.architecture("base", **small, encoder_layers=2),
            MaskedLM(MASKED_LENGTH),
            RunTokenizer(),
            **MASKED,
            initial=FromTeacher((0, 2)),
            teacher=Teacher(teacher, FromRun("runs/bert_tiny")),
        )
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=distilbert.architecture(arg or "base", dtype="bfloat16"),
        teacher=Teacher(
            bert.architecture(arg or "base", dtype="bfloat16"), FromHuggingFace("bert-base-uncased")
        ),
        initial=FromTeacher(),
        tokenizer=RunTokenizer(),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="packed",
            batch_size=2000,
        ),
        objective=MaskedLM(rarity=0.7),
        optimizer=AdamW(epsilon=1e-6, weight_decay=0.0, clip_global_norm=5.0),
        schedule=Linear(peak=5e-4, warmup_steps=625),
        training=Training(steps=12_500, z_loss=0.0, trainable=TRAINABLE),
    )
