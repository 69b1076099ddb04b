"""Llama pre-training (causal, 4 million tokens a step in rows of 2048, AdamW), by size.

    t2t train --config=llama:7b --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and its `tokenizer.json` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=llama:7b --config.tokenizer.path=DIR/tokenizer.json \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

250,000 steps are the trillion tokens of 7b and 13b (arXiv:2302.13971); 65b had 1.4 trillion.

    t2t train --config=llama:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss under that of the best predictor that cannot see
the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import llama
from t2t.objectives.config import CausalLM
from t2t.run import Run
from t2t.tiny_books import PLAIN, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Cosine


def get_config(arg: str = "7b") -> Run:
    """arg: 7b, 13b, 65b or tiny."""
    if arg == "tiny":
        model = llama.architecture("7b", **SHAPE, decoder_layers=3, vocab_size=1024)
        return tiny_books(model, CausalLM(128), TrainedSubwords("byte_bpe", 1024), **PLAIN)
    peak, steps = (1.5e-4, 350_000) if arg == "65b" else (3e-4, 250_000)
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=llama.architecture(arg or "7b", dtype="bfloat16", remat="full"),
        tokenizer=Subwords("tokenizer.json"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="shuffled",
            batch_size=2048,
        ),
        objective=CausalLM(2048),
        optimizer=AdamW(b2=0.95, weight_decay=0.1),
        schedule=Cosine(peak=peak, warmup_steps=2000, final=peak / 10),
        training=Training(steps=steps, z_loss=0.0),
    )
