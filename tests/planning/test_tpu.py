"""Plans by the real TPU compiler, where libtpu is: in the environment (the extra `tpu`), or in the folder
of its own that `make test-slow` puts it in, so that nothing else takes it for a TPU. None is needed."""

import importlib.util
import json
import math
import os
import pathlib
import subprocess
import sys

import pytest

from t2t import cli
from t2t.parallel import compiler_flags
from t2t.planning import topology
from t2t.planning.environment import environment
from t2t.planning.plan import INVOLUNTARY
from tests.tiny import write_text

FOLDER = pathlib.Path(sys.prefix) / "tpu"
_THERE = importlib.util.find_spec("libtpu") is not None or (FOLDER / "libtpu").is_dir()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _THERE, reason="libtpu is not installed (make test-slow does it)"),
]

_SMALLEST = {
    "v4": "v4:2x2x1",
    "v5e": "v5e:2x2",
    "v5p": "v5p:2x2x1",
    "v6e": "v6e:2x2",
    "tpu7x": "tpu7x:2x2x1",
}
_COMPILE = """
import json, sys
import jax, jax.numpy as jnp
from t2t.planning import topology
from t2t.planning.compilation import topology_devices
from t2t.parallel import compiler_flags
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from t2t.errors import UserError

said = {}
for name, text in json.loads(sys.argv[1]).items():
    devices = topology_devices(topology.parse(text))
    mesh = Mesh(devices, ("fsdp",))
    x = jax.ShapeDtypeStruct((256, 256), jnp.bfloat16, sharding=NamedSharding(mesh, P("fsdp")))
    flags = compiler_flags.options(devices[0].device_kind, 2, True, ())
    jax.jit(lambda x: x @ x, compiler_options=flags).lower(x).compile()
    try:
        compiler_flags.compiled(jax.jit(lambda x: x @ x).lower(x), {"xla_tpu_no_such": True})
    except UserError as error:
        said[name] = [devices[0].device_kind, len(flags), str(error)]
print(json.dumps(said))
"""


def planned(tmp_path, *options: str) -> dict:
    path = tmp_path / "report.json"
    assert cli.main(["plan", *options, f"--json={path}"]) == 0
    return json.loads(path.read_text())


_COPIED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from t2t.planning import topology
from t2t.planning.compilation import topology_devices

mesh = Mesh(np.array(topology_devices(topology.parse("v5e:2x4"))).reshape(2, 4), ("a", "b"))
laid = lambda x, *names: jax.lax.with_sharding_constraint(x, NamedSharding(mesh, P(*names)))

def moved(x):
    y = laid(laid(jnp.sin(x), None, ("b", "a"), None) * 2, "b", None, "a")
    return laid(jnp.cos(y).reshape(512 * 512, 64), ("b", "a"), None)

x = jax.ShapeDtypeStruct(
    (512, 512, 64), jnp.float32, sharding=NamedSharding(mesh, P("a", "b", None))
)
jax.jit(moved).lower(x).compile()
"""


def child(program: str, *arguments: str) -> subprocess.CompletedProcess:
    """Runs a program as a plan's compilation is run."""
    made = environment(topology.parse("v5e:2x2"))
    made["PYTHONPATH"] = os.pathsep.join([*sys.path, str(FOLDER)])
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], env=made, capture_output=True, text=True
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("T2T_CACHE", str(tmp_path))
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [before, str(FOLDER)])))


def test_every_generation_takes_the_flags_chosen_for_it_and_names_one_that_it_does_not_know():
    done = child(_COMPILE, json.dumps(_SMALLEST))
    said = json.loads(done.stdout or done.stderr[-2000:])
    assert set(said) == set(_SMALLEST)
    for kind, flags, unknown in said.values():
        assert kind in compiler_flags.BY_KIND and flags and "'xla_tpu_no_such'" in unknown


def test_an_11b_that_is_whole_on_every_device_is_refused_in_seconds(tmp_path, cache):
    report = planned(
        tmp_path,
        *("--config=t5_1_1:xxl", "--topology=v5e:4x4", "--config.data.batch_size=256"),
    )
    assert not report["fits"] and report["compile_seconds"] < 1
    assert report["argument_bytes_summed"] > report["memory_bytes"]
    assert report["bytes"]["parameters"] == 4 * report["parameters"]


def test_an_unknown_flag_is_one_line_at_plan_time(tmp_path, cache, capsys):
    text = write_text(tmp_path)
    code = cli.main(
        [
            *("plan", f"--config=tests/tiny.py:{text}", "--topology=v5e:2x2"),
            "--config.training.compiler_flags=(('xla_tpu_no_such','true'),)",
        ]
    )
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1
    assert "config.training.compiler_flags" in error and "'xla_tpu_no_such'" in error


@pytest.mark.parametrize("kind", ["v5e", "v6e"])
def test_a_single_chip_is_planned(kind, tmp_path, cache):
    text = write_text(tmp_path)
    report = planned(
        tmp_path, f"--config=tests/tiny.py:{text}", f"--topology={kind}:1x1", "--quick"
    )
    assert report["fits"] and report["devices"] == 1 and not report["collectives"]


def test_arguments_are_the_shards_and_weights_are_gathered(tmp_path, cache):
    """A wide two-layer model, fully sharded: every kernel arrives by an all-gather, none whole."""
    text = write_text(tmp_path)
    report = planned(
        tmp_path,
        *(f"--config=tests/tiny.py:{text}", "--topology=v5e:2x2", "--quick"),
        *("--config.mesh.data=1", "--config.mesh.fsdp=2", "--config.mesh.tensor=2"),
        *("--config.model.d_model=256", "--config.model.d_ff=512", "--config.model.heads=4"),
        *("--config.model.head_dim=64", "--config.model.layers=scan"),
        *("--config.model.dtype=bfloat16", "--config.model.remat=full"),
    )
    assert report["fits"] and not report["unsharded"] and not report["involuntary"]
    # In whole tiles: what is smaller, norms and single numbers, is filled up to one.
    assert report["argument_bytes"] == report["argument_bytes_tiled"]
    kept = report["argument_bytes_summed"] - report["argument_bytes_unused"]
    filling = report["bytes"]["filling up tiles"]
    assert 0 < filling < 0.2 * kept and report["argument_bytes"] == kept + filling
    gathers = [
        c for c in report["collectives"] if c["kind"] == "all-gather" and "fsdp" in c["axes"]
    ]
    assert gathers and max(c["times"] for c in gathers) == 2  # layers
    assert math.isfinite(report["roofline"]["best"])


def test_arrays_copied_whole_to_change_their_layout_are_heard_of():
    """What the report counts is what the compiler says, in the words that it is looked for by."""
    done = child(_COPIED)
    assert done.returncode == 0 and INVOLUNTARY in done.stderr, done.stderr[-500:]


def test_an_11b_on_128_v5p_gathers_its_weights_and_holds_nothing_large_whole(tmp_path, cache):
    report = planned(
        tmp_path,
        *("--config=t5_1_1_pods:xxl-v5p-4x4x8", "--topology=v5p:4x4x8", "--quick"),
    )
    assert report["fits"] and report["devices"] == 128 and report["parameters"] > 11e9
    assert not report["unsharded"] and not report["involuntary"] and not report["unfactored"]
    assert not report["logits"]["whole"]  # no float32 [B, T, V]
    # Every kernel arrives by an all-gather in the forward pass and in the backward one: twice the
    # bfloat16 weights of a tensor-parallel half, but for its own 32nd part.
    gathered = sum(
        c["size"] * c["times"]
        for c in report["collectives"]
        if c["kind"] == "all-gather" and c["axes"] == ["fsdp"]
    )
    kernels = 2 * report["parameters"] / 2
    assert 1.8 * kernels < gathered < 2.2 * kernels
    kept = report["argument_bytes_summed"] - report["argument_bytes_unused"]
    filling = report["bytes"]["filling up tiles"]
    assert report["argument_bytes"] == report["argument_bytes_tiled"] == kept + filling
