"""What a finished run says about itself: what it learnt against what needs no learning, and blanks."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from t2t.decoding.decode import make_decoder
from t2t.decoding.fill import shown_rows
from t2t.models.architecture import ENCODER_DECODER
from t2t.models.partition import join, own
from t2t.objectives.implementations import labels_of
from t2t.parallel import sharding
from t2t.training import heldout


def closing_lines(run, programs, inputs, state: dict, evaluate: Callable) -> Iterator[str]:
    """Yields the lines shown at the end: input-blind baseline, exchanged inputs, filled blanks."""
    import jax

    vocabulary = inputs.tokenizer.vocabulary
    free = np.array([*vocabulary.sentinels, vocabulary.eos_id])
    for name, samples in inputs.heldout.items():
        count = min(run.evaluation.batches or samples.batches, samples.batches)

        def host(samples=samples, count=count):
            for step in range(count):
                batch = samples.batch_at(step)
                yield {**batch, "sample": batch["sample"].astype(np.int32)}

        def placed(batches):
            for batch in batches:
                yield jax.tree.map(
                    lambda x: jax.make_array_from_callback(
                        x.shape, sharding.batch_sharding(programs.mesh, x), x.__getitem__
                    ),
                    batch,
                )

        blind = math.nan
        if run.evaluation.input_blind:
            mask_id = vocabulary.mask_id if run.objective.shows_places else None
            blind = heldout.input_blind_loss(host(), free, mask_id)
        if not math.isnan(blind):  # as where no token is predicted
            loss = heldout.score(evaluate, state, placed(host()))["loss"]
            line = (
                f"eval/{name}: loss {loss:.3f} nat a token; best predictor that cannot see the "
                f"input (unigram over targets, sentinels free) {blind:.3f}: {blind - loss:+.3f} better"
            )
            if run.model.encoder_layers:
                other = heldout.score(evaluate, state, placed(heldout.exchanged(host())))["loss"]
                line += f"; with inputs exchanged between rows {other:.3f}: {other - loss:+.3f}"
            yield line
        if run.evaluation.examples:
            batch = samples.batch_at(0)
            blanks = run.model.stacks == ENCODER_DECODER
            words = ("blanks of", "filled in by") if blanks else ("examples of", "answered by")
            yield f"{words[0]} eval/{name} {words[1]} the model:"
            params = join(own(state["frozen"]), state["params"])
            yield from shown_rows(
                make_decoder(programs.model, inputs.tokenizer, programs.mesh),
                params,
                batch,
                run.evaluation.examples,
                labels_of(run.objective),
            )
