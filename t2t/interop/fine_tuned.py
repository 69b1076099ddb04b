"""A fine-tuned encoder as a class of theirs has it: the stack and the one head that answers."""

import dataclasses
from collections.abc import Callable

from t2t.interop.published import Path, parameter_shapes
from t2t.interop.stored_tensor import StoredTensor
from t2t.models.architecture import Architecture
from t2t.objectives.config import Classes
from t2t.objectives.implementations import Headed


def with_one_head(
    arch: Architecture,
    leaves: dict[Path, StoredTensor],
    head: Headed,
    say: Callable[[str], None],
) -> tuple[Architecture, dict[Path, StoredTensor]]:
    """Returns (axes, parameters) without the heads of pre-training, which nothing has trained since.

    ...ForSequenceClassification and ...ForQuestionAnswering have none of them; `say` is told what is
    left out.
    """
    classes = isinstance(head, Classes)
    if classes and not head.plain:
        say(
            "its texts were in T5's words (config.objective.plain is false), which their files do not say: "
            "read back, it is shown plain ones"
        )
    alone = dataclasses.replace(
        arch,
        head="vocabulary",
        vocabulary_bias=False,
        tied_embedding=True,
        pair_classes=arch.pair_classes if classes else 0,
        token_classes=0 if classes else arch.token_classes,
    )
    kept = parameter_shapes(alone)
    left_out = sorted({path[0] for path in leaves} - {path[0] for path in kept})
    if left_out:
        say(f"left out, as no part of a fine-tuned model of theirs: {', '.join(left_out)}")
    return alone, {path: leaves[path] for path in leaves if path in kept}
