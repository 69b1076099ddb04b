"""mT5 pre-training (1024/229), by size.

    t2t train --config=mt5:small

reads mC4 as it is published, a corpus a language (JSON lines, key `text`: `mc4/c4-LANGUAGE.*` and, held
out, `mc4/c4-LANGUAGE-validation.*`), and the vocabulary `mt5.model` in the current folder, which you
supply; elsewhere they are named by

    t2t train --config=mt5:small:DIR --config.tokenizer.path=DIR/mt5.model

A language's share of the rows goes with its tokens to the power of 0.3 (arXiv:2010.11934, section 3.2).
Expected, once fine-tuned on English (published, zero-shot XNLI): small 67.5, base 75.4.

    t2t train --config=mt5:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own;
the closing line shows a held-out loss under that of the best predictor that cannot see the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import SentencePiece, TrainedSentencePiece
from t2t.models.families import mt5
from t2t.objectives.config import SpanCorruption
from t2t.run import Run
from t2t.tiny_books import SHAPE, STACKS, VOCABULARY, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import Adafactor
from t2t.training.schedule_config import InverseSquareRoot

# Those of mC4, six of them in Latin letters besides.
LANGUAGES = (
    "af", "am", "ar", "az", "be", "bg", "bg-Latn", "bn", "ca", "ceb", "co", "cs", "cy", "da",
    "de", "el", "el-Latn", "en", "eo", "es", "et", "eu", "fa", "fi", "fil", "fr", "fy", "ga",
    "gd", "gl", "gu", "ha", "haw", "hi", "hi-Latn", "hmn", "ht", "hu", "hy", "id", "ig", "is",
    "it", "iw", "ja", "ja-Latn", "jv", "ka", "kk", "km", "kn", "ko", "ku", "ky", "la", "lb", "lo",
    "lt", "lv", "mg", "mi", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "no", "ny",
    "pa", "pl", "ps", "pt", "ro", "ru", "ru-Latn", "sd", "si", "sk", "sl", "sm", "sn", "so", "sq",
    "sr", "st", "su", "sv", "sw", "ta", "te", "tg", "th", "tr", "uk", "ur", "uz", "vi", "xh",
    "yi", "yo", "zh", "zh-Latn", "zu",
)  # fmt: skip
HELD_OUT = ("en", "de", "ru", "sw", "zh")


def get_config(arg: str = "base") -> Run:
    """arg: small, base, large, xl, xxl or tiny; or SIZE:FOLDER, the folder of mC4."""
    if arg == "tiny":
        model = mt5.architecture("base", **SHAPE, **STACKS, **VOCABULARY)
        return tiny_books(model, SpanCorruption(inputs_length=128), TrainedSentencePiece(500))
    size, _, folder = arg.partition(":")

    def corpus(language: str, split: str = "") -> Corpus:
        text = Jsonl((f"{folder or 'mc4'}/c4-{language}{split}.*",))
        return Corpus(f"mc4_{language}{split}", text)

    return Run(
        model=mt5.architecture(size or "base", dtype="bfloat16"),
        tokenizer=SentencePiece("mt5.model"),
        data=Data(
            train=Mixture(tuple(map(corpus, LANGUAGES)), "temperature", temperature=1 / 0.3),
            evaluation=tuple(corpus(language, "-validation") for language in HELD_OUT),
            batch_size=1024,
        ),
        objective=SpanCorruption(inputs_length=1024),
        optimizer=Adafactor(),
        schedule=InverseSquareRoot(),
        training=Training(steps=1_000_000),
    )
