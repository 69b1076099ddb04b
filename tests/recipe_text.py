"""The smallest run that trains: bytes, two layers, a few rows; a recipe as the user would write it."""

RECIPE = """
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Bytes
from t2t.models.architecture import Architecture
from t2t.objectives.config import SpanCorruption
from t2t.run import Run
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Monitoring, Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import Constant


def get_config(arg=""):
    text = Jsonl(("{folder}/text.jsonl",))
    return Run(
        model=Architecture(
            vocab_size=384, d_model=32, heads=2, head_dim=16, d_ff=64, encoder_layers=1,
            decoder_layers=1,
        ),
        tokenizer=Bytes(),
        data=Data(
            train=Mixture((Corpus("prose", text, documents=(0.0, 0.8)),)),
            evaluation=(Corpus("held", text, documents=(0.8, 1.0)),),
            batch_size=8,
            cache_dir="{folder}/cache",
        ),
        objective=SpanCorruption(inputs_length=64, mean_noise_span_length=5.0),
        optimizer=Adafactor(),
        schedule=Constant(),
        training=Training(steps=4),
        evaluation=Evaluation(every_steps=2, batches=1),
        checkpoints=Checkpoints(every_steps=2),
        monitoring=Monitoring(log_every=1, progress="lines", tensorboard=False),
    )
"""


def write_recipe(folder, texts: list[str]):
    """Writes `text.jsonl` and the recipe into `folder`; returns the recipe's path."""
    import json

    lines = [json.dumps({"text": text}) + "\n" for text in texts]
    (folder / "text.jsonl").write_text("".join(lines), encoding="utf-8")
    recipe = folder / "tiny.py"
    recipe.write_text(RECIPE.replace("{folder}", str(folder)), encoding="utf-8")
    return recipe
