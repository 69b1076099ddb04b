"""Llama pre-training (causal, 4 million tokens a step in rows of 2048, AdamW), by size; Llama 3's 8B.

    t2t train --config=llama:7b --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and its `tokenizer.json` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=llama:7b --config.tokenizer.path=DIR/tokenizer.json \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

250,000 steps are the trillion tokens of 7b and 13b (arXiv:2302.13971); 65b had 1.4 trillion. 3-8b is
Llama 3's (arXiv:2407.21783): its peak, rows of 8192 and 15 trillion tokens; what is published of the
405B alone is taken from there, 8,000 steps of warm-up, a cosine to a hundredth of the peak, and the
16 million tokens a step that its batches grow to.

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

# size -> (peak, its part that is left at the end, warm-up, steps, rows of a batch, their length)
PUBLISHED = {
    "7b": (3e-4, 0.1, 2000, 250_000, 2048, 2048),
    "13b": (3e-4, 0.1, 2000, 250_000, 2048, 2048),
    "65b": (1.5e-4, 0.1, 2000, 350_000, 2048, 2048),
    "3-8b": (3e-4, 0.01, 8000, 894_000, 2048, 8192),
}


def get_config(arg: str = "7b") -> Run:
    """arg: 7b, 13b, 65b, 3-8b or tiny."""
    if arg == "tiny":
        model = llama.architecture("7b", **SHAPE, decoder_layers=3, vocab_size=1024)
        return tiny_books(model, CausalLM(128), TrainedSubwords("byte_bpe", 1024), **PLAIN)
    model = llama.architecture(arg or "7b", dtype="bfloat16", remat="full")
    peak, left, warmup, steps, rows, length = PUBLISHED[arg or "7b"]
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=model,
        tokenizer=Subwords("tokenizer.json"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="shuffled",
            batch_size=rows,
        ),
        objective=CausalLM(length),
        optimizer=AdamW(b2=0.95, weight_decay=0.1),
        schedule=Cosine(peak=peak, warmup_steps=warmup, final=peak * left),
        training=Training(steps=steps, z_loss=0.0),
    )
