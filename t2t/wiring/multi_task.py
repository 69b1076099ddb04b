"""One encoder, ERNIE 2.0's tasks side by side: masked tokens, and classes of tokens and of examples."""

from collections.abc import Callable, Mapping

from t2t.losses import cross_entropy
from t2t.models.partition import join
from t2t.models.transformer import Model
from t2t.objectives.ernie_tasks import TOKEN_TASKS
from t2t.vocabulary_loss import Chunks
from t2t.wiring.masked import at_places, beside, place_predictions


def loss_function(
    model: Model,
    z_loss: float,
    label_smoothing: float,
    weight: float,
    sentence_tasks: Mapping[str, tuple[int, int]],
    chunks: Chunks | None = None,
) -> Callable:
    """Returns `loss_fn(trainable, frozen, carry, batch, rng) -> (loss, (metrics, carry))`.

    The mean loss of the masked tokens plus weight times the sum of each other task's mean, times the
    count of predictions. `loss` among the metrics is of the masked tokens; beside it `TASK_loss` and
    `TASK_accuracy`. sentence_tasks: the columns of each task's classes of examples. Every batch has every task's arrays, with weights 0 where an example is of another:
    a stage of training changes no program.
    """

    def loss_fn(trainable, frozen, carry, batch, rng):
        params = join(frozen, trainable)
        hidden, objective, sums = place_predictions(
            model, params, batch, rng, z_loss, label_smoothing, chunks
        )
        found, labels = {}, batch["token_labels"]
        of_tokens = model.token_logits(params, hidden)
        for name, (begin, end) in TOKEN_TASKS.items():
            given = labels[name]["targets"], labels[name]["weights"]
            found[name] = cross_entropy(of_tokens[..., begin:end], *given)
        for name, (begin, end) in sentence_tasks.items():
            one = batch["sentence_labels"][name]
            classes = model.pair_logits(params, at_places(hidden, one["places"]))
            found[name] = cross_entropy(classes[..., begin:end], one["targets"], one["weights"])
        for name, task in found.items():
            extra, told = beside(sums["weight"], name, task)
            objective, sums = objective + weight * extra, sums | told
        return objective, (sums, carry)

    return loss_fn
