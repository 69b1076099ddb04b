"""Megatron-LM's GPT (causal, 512 rows of 1024, Adam), by size.

    t2t train --config=megatron_gpt:355m --config.mesh.fsdp=8

reads `text/*.jsonl.gz` (JSON lines, key `text`) and the vocabulary `vocab.json` and `merges.txt` in the
current folder, which you supply; elsewhere they are named by

    t2t train --config=megatron_gpt:355m --config.tokenizer.path=DIR/vocab.json \
        '--config.data.train.corpora[0].source.paths=DIR/*.jsonl.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.jsonl.gz'

300,000 steps (Shoeybi et al. 2019, section 4.1). Published: WikiText-103 perplexity 19.31 (355m), 12.76
(2.5b), 10.81 (8.3b).

    t2t train --config=megatron_gpt:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own.
Expected: the closing line shows a held-out loss under that of the best predictor that cannot see
the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import Subwords, TrainedSubwords
from t2t.models.families import megatron_gpt
from t2t.objectives.config import CausalLM
from t2t.run import Run
from t2t.tiny_books import PLAIN, SHAPE, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Cosine


def get_config(arg: str = "355m") -> Run:
    """arg: 355m, 2.5b, 8.3b or tiny."""
    if arg == "tiny":
        model = megatron_gpt.architecture("355m", **SHAPE, decoder_layers=3, vocab_size=1024)
        return tiny_books(model, CausalLM(128), TrainedSubwords("byte_bpe", 1024), **PLAIN)
    text = Jsonl(("text/*.jsonl.gz",))
    return Run(
        model=megatron_gpt.architecture(arg or "355m", dtype="bfloat16"),
        tokenizer=Subwords("vocab.json"),
        data=Data(
            train=Mixture((Corpus("text", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("held_out", text, documents=(0.999, 1.0)),),
            order="shuffled",
            batch_size=512,
        ),
        objective=CausalLM(1024),
        optimizer=AdamW(),
        schedule=Cosine(peak=1.5e-4, warmup_steps=3000, final=1e-5),
        training=Training(steps=300_000, z_loss=0.0),
    )
