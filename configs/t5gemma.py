"""T5Gemma: Gemma 2 as encoder and decoder, pre-trained by prefix language modelling, by size.

    t2t train --config=t5gemma:2b-2b --config.mesh.fsdp=8 '--config.initial=FromHuggingFace("t5gemma-2b-2b-prefixlm")'

reads `c4/en/*.json.gz` (JSON lines, key `text`) and Gemma's vocabulary `tokenizer.model` in the
current folder, and begins with the published weights there; you supply all three. Elsewhere they are
named by

    t2t train --config=t5gemma:2b-2b --config.tokenizer.path=DIR/tokenizer.model \
        '--config.data.train.corpora[0].source.paths=DIR/*.json.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.json.gz'

Published: two trillion tokens after Gemma 2's own (arXiv:2504.06225); rows of 4096, the batch and the
rate here are ours. UL2's mixture is `--config.objective=UL2` with its mode tokens in
`--config.tokenizer.named`.

    t2t train --config=t5gemma:tiny

is done in minutes on two CPU cores, on the books of `../shared/data` with a vocabulary of its own;
every other layer sees 32 tokens. Expected: the closing line compares the held-out loss with that of
the best predictor that cannot see the input.
"""

from t2t.data.config import Corpus, Data, Mixture
from t2t.data.source_config import Jsonl
from t2t.data.tokenizer_config import SentencePiece, TrainedSentencePiece
from t2t.models.families import t5gemma
from t2t.objectives.config import PrefixLM
from t2t.run import Run
from t2t.tiny_books import PLAIN, SHAPE, STACKS, VOCABULARY, tiny_books
from t2t.training.config import Training
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Cosine


def get_config(arg: str = "2b-2b") -> Run:
    """arg: 2b-2b, 9b-9b or tiny."""
    if arg == "tiny":
        narrow = {"kv_heads": 2, "window": 32}
        model = t5gemma.architecture("2b-2b", **SHAPE, **STACKS, **VOCABULARY, **narrow)
        return tiny_books(model, PrefixLM(128), TrainedSentencePiece(500), **PLAIN)
    text = Jsonl(("c4/en/*.json.gz",))
    return Run(
        model=t5gemma.architecture(arg or "2b-2b", dtype="bfloat16", remat="full"),
        tokenizer=SentencePiece("tokenizer.model"),
        data=Data(
            train=Mixture((Corpus("c4", text, documents=(0.0, 0.999)),)),
            evaluation=(Corpus("c4_held_out", text, documents=(0.999, 1.0)),),
            order="packed",
            batch_size=1024,
        ),
        objective=PrefixLM(4096),
        optimizer=AdamW(clip_global_norm=1.0),
        schedule=Cosine(peak=1e-4, warmup_steps=2_000, final=1e-5),
        training=Training(steps=480_000),
    )
