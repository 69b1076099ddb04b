import os

from t2t.parallel import gpu_memory
from t2t.planning import topology


def test_a_run_takes_what_a_plan_counts_on_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    gpu_memory.take_most()
    taken = float(os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"])
    assert topology.GENERATIONS["h100"].memory == taken * 79 * 2**30
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", ".5")
    gpu_memory.take_most()
    assert os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] == ".5"
