"""GPT-2 pre-training (causal, 512 rows of 1024, Adam), by size.

    t2t train --config=gpt2:small --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and the vocabulary `vocab.json` and `merges.txt` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=gpt2:small --config.tokenizer.path=DIR/vocab.json \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

Its rates and steps were not published: these are GPT-3's rate for the smallest size and Megatron's
300,000 steps. Published, the smallest size: LAMBADA 45.99 % and perplexity 35.13.

    t2t train --config=gpt2:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss under that of the best predictor that cannot see
the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import gpt2
from t2t.objectives.config import CausalLM
from t2t.run import Run
from t2t.tiny_books import PLAIN, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Cosine


def get_config(arg: str = "small") -> Run:
    """arg: small, medium, large, xl or tiny."""
    if arg == "tiny":
        model = gpt2.architecture("small", **SHAPE, decoder_layers=3, vocab_size=1024)
        return tiny_books(model, CausalLM(128), TrainedSubwords("byte_bpe", 1024), **PLAIN)
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=gpt2.architecture(arg or "small", dtype="bfloat16"),
        tokenizer=Subwords("vocab.json"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="shuffled",
            batch_size=512,
        ),
        objective=CausalLM(1024),
        optimizer=AdamW(b2=0.95, weight_decay=0.1),
        schedule=Cosine(peak=6e-4, warmup_steps=2000, final=6e-5),
        training=Training(steps=300_000, z_loss=0.0),
    )
