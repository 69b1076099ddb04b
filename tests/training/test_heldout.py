"""The loss of the best predictor that cannot see the input, by hand."""

import math

import numpy as np
import pytest

from t2t.training.heldout import input_blind_loss

NONE = np.array([], np.int64)


def batch(targets, weights=None, **more):
    targets = np.array(targets)
    weights = np.ones(targets.shape) if weights is None else np.array(weights)
    return {"targets": targets, "weights": weights, **more}


def test_unigram_entropy_over_batches():
    """Of 5 three times, 9 once: padding does not count."""
    batches = [batch([[5, 5]]), batch([[5, 9, 7]], [[1, 1, 0]])]
    expected = -(3 * math.log(3 / 4) + math.log(1 / 4)) / 4
    assert input_blind_loss(batches, NONE) == pytest.approx(expected)


def test_sentinels_are_free():
    batches = [batch([[5, 9, 30, 31]])]
    assert input_blind_loss(batches, np.array([30, 31, 99])) == pytest.approx(math.log(2) / 2)


def test_nothing_predicted_has_no_loss():
    assert math.isnan(input_blind_loss([batch([[0]], [[0]])], NONE))


def test_masked_text_shows_what_stands_at_the_place():
    """Eight places: four masks (5 5 9 9), three that stayed (7, free but for telling so), one 5 that
    was written over by 8. By hand, p(stayed | shown) = 3/4."""
    tokens = np.array([[4, 4, 4, 4, 7, 7, 7, 8, 1, 1]])
    one = batch(
        [[5, 5, 9, 9, 7, 7, 7, 5]],
        encoder={"tokens": tokens},
        places=np.arange(8)[None],
    )
    unigram = -(3 * math.log(3 / 5) + 2 * math.log(2 / 5))
    telling = -(3 * math.log(3 / 4) + math.log(1 / 4))
    assert input_blind_loss([one], NONE, mask_id=4) == pytest.approx((unigram + telling) / 8)
    assert input_blind_loss([one], NONE) > input_blind_loss([one], NONE, mask_id=4)
