"""Which compiler options a run asks for, and what becomes of one that XLA does not know."""

import dataclasses
import json

import jax
import pytest

from t2t import run as runs
from t2t.errors import UserError
from t2t.parallel import compiler_flags
from t2t.parallel.compiler_flags import BY_KIND, options
from t2t.planning.topology import GENERATIONS
from t2t.training.config import Training
from tests.tiny import get_config, write_text


def test_every_accelerator_planned_for_has_flags_and_each_names_its_source():
    for generation in GENERATIONS.values():
        assert (generation.kind in BY_KIND) == (generation.platform != "cpu"), generation.kind
    assert all(flag.source for flags in BY_KIND.values() for flag in flags.values())


def test_flags_of_the_kind_then_of_slices_then_the_configurations_own():
    name = "xla_tpu_scoped_vmem_limit_kib"
    assert options("TPU v6 lite", 1, True, ())[name] == 98304
    assert options("TPU v6 lite", 1, True, ((name, "65536"),))[name] == 65536
    assert options("TPU v6 lite", 1, False, ((name, "65536"),)) == {name: 65536}
    over_slices = "xla_tpu_enable_data_parallel_all_reduce_opt"
    assert over_slices not in options("TPU7x", 1, True, ())
    assert options("TPU7x", 2, True, ())[over_slices] is True
    assert options("cpu", 2, True, ()) == {}
    assert options("cpu", 1, True, (("xla_a", "false"), ("xla_b", "text"))) == {
        "xla_a": False,
        "xla_b": "text",
    }


def test_a_flag_that_xla_does_not_know_is_named():
    lowered = jax.jit(lambda x: x + 1, compiler_options={"xla_no_such_flag": True}).lower(1.0)
    with pytest.raises(UserError, match="config.training.compiler_flags.*'xla_no_such_flag'"):
        compiler_flags.compiled(lowered)
    assert compiler_flags.compiled(jax.jit(lambda x: x + 1).lower(1.0))(1.0) == 2.0


def test_the_flags_of_a_run_stand_in_its_record(tmp_path):
    run = get_config(str(write_text(tmp_path)))
    own = (("xla_cpu_enable_fast_math", "false"),)
    run = dataclasses.replace(run, training=dataclasses.replace(run.training, compiler_flags=own))
    runs.open_directory(run, str(tmp_path / "run"))
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["compiler_flags"] == {"xla_cpu_enable_fast_math": False}


def test_what_is_not_an_option_of_xla_is_refused_at_once():
    training = dataclasses.replace(Training(), compiler_flags=(("no_windows", "1"),))
    with pytest.raises(UserError, match="c.compiler_flags: 'no_windows' is not the name"):
        training.check("c")
