"""Turing-NLG, 17 billion parameters (causal, 512 rows of 1024, Adam).

    t2t train --config=turing_nlg:17b --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and the vocabulary `vocab.json` and `merges.txt` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=turing_nlg:17b --config.tokenizer.path=DIR/vocab.json \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

300,000 steps, whose rate rises for 3,200 of them and goes down along a cosine of 500,000, so that it is not
down at the end (Microsoft's announcement of February 2020); all else is as of Megatron's GPT. Published:
WikiText-103 perplexity 10.21, LAMBADA 67.98 %.

    t2t train --config=turing_nlg:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss under that of the best predictor that cannot see
the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import turing_nlg
from t2t.objectives.config import CausalLM
from t2t.run import Run
from t2t.tiny_books import PLAIN, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Cosine


def get_config(arg: str = "17b") -> Run:
    """arg: 17b or tiny."""
    if arg == "tiny":
        model = turing_nlg.architecture("17b", **SHAPE, decoder_layers=3, vocab_size=1024)
        return tiny_books(model, CausalLM(128), TrainedSubwords("byte_bpe", 1024), **PLAIN)
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=turing_nlg.architecture(arg or "17b", dtype="bfloat16", remat="full"),
        tokenizer=Subwords("vocab.json"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="shuffled",
            batch_size=512,
        ),
        objective=CausalLM(1024),
        optimizer=AdamW(),
        schedule=Cosine(peak=1.5e-4, warmup_steps=3200, decay_steps=500_000),
        training=Training(steps=300_000, z_loss=0.0),
    )
