"""The environment variables of a process that compiles for hardware that is not here."""

import os

from t2t.planning.topology import Topology


def environment(wanted: Topology) -> dict[str, str]:
    """What the child's environment needs before jax is imported."""
    made = {**os.environ, "JAX_PLATFORMS": "cpu"}
    if wanted.generation.platform == "cpu":
        flags = made.get("XLA_FLAGS", "").split()
        flags = [f for f in flags if "host_platform_device_count" not in f]
        count = f"--xla_force_host_platform_device_count={wanted.devices}"
        made["XLA_FLAGS"] = " ".join([*flags, count])
    if wanted.generation.platform == "tpu":
        made |= {
            "TPU_SKIP_MDS_QUERY": "1",
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
            "TPU_ACCELERATOR_TYPE": "v5litepod-4",  # these three only silence warnings
            "TPU_WORKER_HOSTNAMES": "localhost",
            "TPU_WORKER_ID": "0",
            # Warnings: one of them is of arrays copied whole, and the report counts it.
            "TPU_STDERR_LOG_LEVEL": "1",
            "TPU_MIN_LOG_LEVEL": "1",
            "TPU_LOG_DIR": "disabled",
            # Some programs overflow the compiler's own small stacks.
            "LIBTPU_INIT_ARGS": "--fibers_default_thread_stack_size=67108864",
        }
    return made
