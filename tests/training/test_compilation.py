"""The hash of a lowered program, by which several hosts find out that one would run another."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import pytest

from t2t.training.compilation import CompiledSteps
from tests.tiny import get_config


def steps_of(function) -> CompiledSteps:
    run = get_config("text.txt")
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, evaluation=()))
    state = jax.ShapeDtypeStruct((4,), jnp.float32)
    programs = types.SimpleNamespace(
        train=jax.jit(function), shapes=state, abstract_batch=lambda batch: batch
    )
    return CompiledSteps(run, programs)


def test_the_fingerprint_is_that_of_the_program():
    with (
        steps_of(lambda state, batch: state * 2.0) as one,
        steps_of(lambda state, batch: state * 2.0) as same,
        steps_of(lambda state, batch: state * 2.5) as other,
    ):
        assert one.fingerprint() == same.fingerprint() != other.fingerprint()
        assert len(one.fingerprint()) == 16


def test_what_cannot_be_lowered_is_raised_and_not_waited_for():
    def broken(state, batch):
        raise ValueError("no such layer")

    with steps_of(broken) as steps, pytest.raises(ValueError, match="no such layer"):
        steps.fingerprint()
