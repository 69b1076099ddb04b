"""The layouts of configs/t5_1_1_pods.py fit what they are named after; their page says what it should."""

import pytest

from benchmarks import plans
from t2t import run as runs
from t2t.errors import UserError
from t2t.planning import topology

NAMES = [*plans.layouts(), *plans.scaling()]


@pytest.mark.parametrize("name", NAMES)
def test_a_layout_uses_all_devices_of_its_topology_and_divides_what_it_must(name):
    run, text, slices = plans.case(name)
    wanted = topology.parse(text, slices)
    runs.check_devices(run, wanted.devices)
    assert run.mesh.replica == slices
    if wanted.generation.platform == "tpu":  # a device's columns are whole tiles of 128
        assert run.model.d_model % (128 * run.mesh.fsdp) == 0
    if name.startswith("scaling-"):
        assert wanted.devices == int(name.split("-")[1])
        assert run.data.batch_size == 2048


def test_every_size_has_a_layout_on_every_kind_of_device():
    found = {tuple(name.split("-")[:2]) for name in plans.layouts()}
    kinds = ("v4", "v5e", "v5p", "v6e", "tpu7x", "h100")
    assert found >= {(s, k) for s in ("small", "base", "large", "xl", "xxl") for k in kinds}


def test_an_unknown_layout_names_the_nearest():
    with pytest.raises(UserError, match="no layout 'xxl-v5p-4x4x4'.*xxl-v4-4x4x4"):
        runs.load("t5_1_1_pods:xxl-v5p-4x4x4")


def figures(chips: int, compute: float, links: float, tensor: int = 1) -> dict:
    seconds = {"compute": compute, "memory": 0.01, "links": links, "network": 0.0, "mfu": 0.5}
    best = max(compute, links)
    return {
        **{"mesh": {"data": chips // tensor, "tensor": tensor}, "devices": chips, "batch": 2048},
        **{"remat": "full", "fits": True, "warnings": [], "unsharded": []},
        "logits": {"whole": False, "bytes": 2**31},
        **{"peak_bytes": 2**30, "memory_bytes": 2**34, "compile_seconds": 9.0},
        **{"versions": "jax 1", "date": "2026-01-01"},
        "collectives": {
            "all-gather over fsdp": [48, 3 * 2**30],
            "all-reduce over data": [1, 2**30],
        },
        "roofline": {**seconds, "best": best, "worst": compute + links},
    }


def test_the_page_says_where_scaling_stops_and_why():
    known = {
        "scaling-64-tensor2": figures(64, 0.8, 0.1, 2),
        "scaling-128-tensor2": figures(128, 0.4, 0.1, 2),
        "scaling-512-tensor2": figures(512, 0.1, 0.3, 2),
        "scaling-512-tensor4": figures(512, 0.1, 0.2, 4),
        "xl-v5e-4x4": figures(16, 0.5, 0.1),
    }
    text = plans.page(known, ["xl-v5e-4x4", "xxl-v5e-16x16"])
    assert (
        "| xl-v5e-4x4 | data=16 tensor=1 | 2048 | full | yes | 1.00 of 16.0 | 500..600 | compute |"
        in text
    )
    assert "Not planned yet: xxl-v5e-16x16." in text
    assert (
        "It stops at 512 chips: there, in the best mesh of those compiled (data=128 tensor=4)"
        in text
    )
    assert "all-gather over fsdp: 3.0 GiB" in text
    # A fourth of the time on eight times the chips.
    row = (
        "| 512 | data=128 tensor=4 | 4 | 1.00 | 100.0 | 10.0 | 200.0 | 200.0 | 300.0 | 4.0 | 50% |"
    )
    assert row in text
    assert "- nothing large stands whole" in text and "- float32 logits (2.00 GiB a device)" in text
