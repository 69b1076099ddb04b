"""What keeps a model from learning its few examples by heart, one recipe each, on Multi30k's captions.

    t2t train --config=regularized:plain --workdir=runs/plain
    t2t train --config=regularized:label_smoothing --workdir=runs/label_smoothing
    t2t train --config=regularized:r_drop --workdir=runs/r_drop
    t2t train --config=regularized:token_dropout --workdir=runs/token_dropout
    t2t train --config=regularized:span_replacement --workdir=runs/span_replacement
    t2t train --config=regularized:layer_dropout --workdir=runs/layer_dropout
    t2t compare runs/plain runs/label_smoothing runs/r_drop --tasks=multi30k_ende --markdown=table.md

Each is `multi30k` (English captions into German, from scratch; its files are looked for in
`../shared/data/tasks`) with dropout 0.1 and the one thing that its name says, `plain` with dropout alone:

    label_smoothing   0.1 of the target's mass lies on the whole vocabulary (arXiv:1706.03762, section 5.4)
    r_drop            5 times the divergence between two dropouts of a row (arXiv:2106.14448, translation);
                      a step costs twice as much
    token_dropout     a tenth of the words that the encoder reads are unknown (arXiv:1511.06349, section 3)
    span_replacement  a tenth of them, in spans, are other words (SwitchOut, arXiv:1808.07512)
    layer_dropout     stochastic depth: a row goes past the last layer of a stack in a fifth of the steps,
                      past those below it less often (arXiv:1603.09382)

Expected: the loss of the held-out captions, which has nothing added to it, in the rows `eval/...` of
`metrics.jsonl`; it and the BLEU of one run against another's depend on the seed, so that several are
needed to tell such recipes apart. As parts of a recipe of your own they are

    --config.training.label_smoothing=0.1       --config.data.augmentation.token_dropout=0.1
    --config.training.r_drop=5                  --config.data.augmentation.span_replacement=0.1
    --config.model.layer_dropout=0.2
"""

import dataclasses

from t2t import recipes
from t2t.data.augmentation_config import Augmentation
from t2t.errors import UserError, nearest
from t2t.run import Run

# argument -> (the room of the Run, what is changed there)
CHANGES = {
    "plain": ("training", {}),
    "label_smoothing": ("training", {"label_smoothing": 0.1}),
    "r_drop": ("training", {"r_drop": 5.0}),
    "token_dropout": ("data", {"augmentation": Augmentation(token_dropout=0.1)}),
    "span_replacement": ("data", {"augmentation": Augmentation(span_replacement=0.1)}),
    "layer_dropout": ("model", {"layer_dropout": 0.2}),
}


def get_config(arg: str = "plain") -> Run:
    """arg: plain, label_smoothing, r_drop, token_dropout, span_replacement or layer_dropout."""
    arg = arg or "plain"
    if arg not in CHANGES:
        raise UserError(
            f"no recipe {arg!r}{nearest(arg, CHANGES)}; there are: {', '.join(CHANGES)}"
        )
    run = recipes.get_config("multi30k", Run)
    run = dataclasses.replace(run, training=dataclasses.replace(run.training, label_smoothing=0.0))
    room, changes = CHANGES[arg]
    return dataclasses.replace(run, **{room: dataclasses.replace(getattr(run, room), **changes)})
