"""ERNIE 2.0's losses against NumPy: each task's own mean, masked by weights; nothing of absent ones."""

import jax
import numpy as np
import pytest
from scipy.special import log_softmax

from t2t.models.families import ernie
from t2t.models.transformer import build
from t2t.objectives.ernie_tasks import SENTENCE_TASKS, TOKEN_TASKS
from t2t.wiring import multi_task
from t2t.wiring.masked import at_places

SMALL = {"vocab_size": 128, "d_model": 16, "heads": 2, "head_dim": 8, "d_ff": 32, "dropout": 0.0}
SMALL |= {"learned_positions": 12, "encoder_layers": 1, "task_types": 5, "token_types": 3}
SMALL |= {"token_classes": 4, "pair_classes": 12}


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    ints = lambda top, *shape: rng.integers(0, top, shape).astype(np.int32)
    floats = lambda *shape: rng.integers(0, 2, shape).astype(np.float32)
    tasks = np.repeat(np.arange(4, dtype=np.int32)[:, None], 12, axis=1)
    side = {"tokens": ints(128, 4, 12), "types": ints(3, 4, 12), "tasks": tasks}
    first = np.zeros((4, 3), np.float32)
    first[1:3, 0] = 1
    sentence = {
        "reordering": {"places": ints(12, 4, 3), "targets": ints(9, 4, 3), "weights": first},
        "distance": {"places": ints(12, 4, 3), "targets": ints(3, 4, 3), "weights": 0 * first},
    }
    token = {name: {"targets": ints(2, 4, 12), "weights": floats(4, 12)} for name in TOKEN_TASKS}
    predicted = {"places": ints(12, 4, 3), "targets": ints(128, 4, 3), "weights": floats(4, 3)}
    return {"encoder": side, **predicted, "token_labels": token, "sentence_labels": sentence}


def test_each_task_is_that_of_numpy(batch):
    model = build(ernie.architecture("2.0-base", **SMALL))
    noise = lambda x: x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape)
    params = jax.tree.map(noise, model.init(jax.random.key(0)))
    loss_fn = jax.jit(
        jax.value_and_grad(
            multi_task.loss_function(model, 0.0, 0.0, 0.5, SENTENCE_TASKS), has_aux=True
        )
    )
    (loss, (sums, _)), gradient = loss_fn(params, {}, {}, batch, None)
    hidden = model.forward(params, batch)[0]
    count = batch["weights"].sum()

    def mean(logits, targets, weights):
        logs = log_softmax(np.asarray(logits, np.float64), axis=-1)
        picked = -np.take_along_axis(logs, targets[..., None], -1)[..., 0]
        right = logs.argmax(-1) == targets
        return (picked * weights).sum() / max(weights.sum(), 1), (right * weights).sum()

    masked = mean(
        model.logits(params, at_places(hidden, batch["places"])), batch["targets"], batch["weights"]
    )[0]
    np.testing.assert_allclose(sums["loss"] / count, masked, rtol=1e-5)
    total = masked
    for name, (begin, end) in TOKEN_TASKS.items():
        one = batch["token_labels"][name]
        logits = model.token_logits(params, hidden)[..., begin:end]
        wanted, right = mean(logits, one["targets"], one["weights"])
        np.testing.assert_allclose(sums[f"{name}_loss"] / count, wanted, rtol=1e-5)
        share = right / one["weights"].sum()
        np.testing.assert_allclose(sums[f"{name}_accuracy"] / count, share, rtol=1e-5)
        total += 0.5 * wanted
    for name, (begin, end) in SENTENCE_TASKS.items():
        one = batch["sentence_labels"][name]
        logits = model.pair_logits(params, at_places(hidden, one["places"]))[..., begin:end]
        wanted, _ = mean(logits, one["targets"], one["weights"])
        np.testing.assert_allclose(sums[f"{name}_loss"] / count, wanted, rtol=1e-5)
        total += 0.5 * wanted
    np.testing.assert_allclose(loss / count, total, rtol=1e-5)
    # No example is of the distance task: its columns get no gradient, those of the others do.
    columns = np.abs(np.asarray(gradient["pair_head"]["classifier"]["kernel"])).sum(0)
    assert (columns[:9] > 0).all() and (columns[9:] == 0).all()
    assert np.abs(np.asarray(gradient["task_embedding"]["table"])[:4]).sum() > 0
