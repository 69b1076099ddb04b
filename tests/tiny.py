"""A run that trains in seconds, for tests: `--config=tests/tiny.py:TEXT` with a plain-text file.

`write_text` makes such a file from the prose that Python carries.
"""

import pathlib

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Text
from t2t.data.tokenizer_config import Bytes
from t2t.models.architecture import Architecture
from t2t.objectives.config import SpanCorruption
from t2t.run import Run
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Monitoring, Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import InverseSquareRoot


def write_text(folder: pathlib.Path, characters: int = 60_000) -> pathlib.Path:
    """Writes English paragraphs (the language reference as pydoc shows it); returns the file."""
    from pydoc_data import topics

    path = folder / "text.txt"
    path.write_text("\n\n".join(topics.topics.values())[:characters], encoding="utf-8")
    return path


def get_config(arg: str = "") -> Run:
    """arg: the text's path; its cache of stores is made beside it."""
    text = Text((arg,), documents="paragraph")
    return Run(
        model=Architecture(
            vocab_size=384,
            d_model=32,
            heads=4,
            head_dim=8,
            d_ff=64,
            encoder_layers=2,
            decoder_layers=2,
        ),
        tokenizer=Bytes(),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.9)),)),
            evaluation=(Corpus("held_out", text, documents=(0.9, 1.0)),),
            batch_size=8,
            cache_dir=str(pathlib.Path(arg).parent / "cache"),
        ),
        objective=SpanCorruption(inputs_length=64, mean_noise_span_length=5.0),
        optimizer=Adafactor(min_dim_size_to_factor=16),
        schedule=InverseSquareRoot(peak=0.02, warmup_steps=5, warmup_from=0.2),
        training=Training(steps=12, seed=3),
        evaluation=Evaluation(every_steps=4, batches=2),
        checkpoints=Checkpoints(every_steps=4, keep_latest=5),
        monitoring=Monitoring(log_every=1, progress="lines", tensorboard=False),
    )
