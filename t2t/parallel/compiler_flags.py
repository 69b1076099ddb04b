"""What is asked of XLA beyond its defaults, by kind of device: which option, since when, on whose word.

Options of one compilation (`compiler_options`), never of the environment: a plan compiles with the
same, and one that the compiler does not know is an error there, not on a rented machine. Chosen for
overlap of collectives with products; none changes what is computed. Left out on purpose:
`xla_tpu_spmd_rng_bit_generator_unsafe` (dropout would depend on the mesh), SparseCore offload of
all-reduce (wrong losses reported on v6e and tpu7x, axlearn), and on v6e overlap together with fusion
of collectives (NaN, jax issue 38741).
"""

from typing import NamedTuple

from jax.errors import JaxRuntimeError
from jax.stages import Compiled, Lowered

from t2t.errors import UserError

Value = bool | int | str


class Flag(NamedTuple):
    value: Value
    source: str


_MAXTEXT = "MaxText benchmarks/xla_flags_library.py"
_AXLEARN = "axlearn common/compiler_options.py"
_TOOLBOX = "JAX-Toolbox docs/GPU_performance.md"

# Fuses an all-gather into the products beside it, so that weights arrive while others are used.
_ASYNC_FUSION = {
    "xla_tpu_enable_async_collective_fusion": Flag(True, _MAXTEXT),
    "xla_tpu_enable_async_collective_fusion_fuse_all_gather": Flag(True, _MAXTEXT),
    "xla_tpu_enable_async_collective_fusion_multiple_steps": Flag(True, _MAXTEXT),
    "xla_enable_async_all_gather": Flag("true", _MAXTEXT),
}
_OVERLAP = {"xla_tpu_overlap_compute_collective_tc": Flag(True, _MAXTEXT)}
_PERMUTE = {"xla_enable_async_collective_permute": Flag("true", _MAXTEXT)}
# Gradients of several sizes reduced while the rest of the backward pass goes on.
_DATA_PARALLEL = {
    "xla_tpu_enable_data_parallel_all_reduce_opt": Flag(True, _MAXTEXT),
    "xla_tpu_data_parallel_opt_different_sized_ops": Flag(True, _MAXTEXT),
}
# Products are not cut up to run along the ring of their own gather: half the time to compile, and the
# collectives stay whole for the fusions above.
_NO_WINDOWS = {"xla_jf_spmd_threshold_for_windowed_einsum_mib": Flag(1_000_000, _AXLEARN)}

BY_KIND: dict[str, dict[str, Flag]] = {
    "TPU v4": {"xla_enable_async_all_gather": Flag("true", _MAXTEXT), **_PERMUTE},
    "TPU v5 lite": {**_ASYNC_FUSION, **_OVERLAP, **_DATA_PARALLEL, **_NO_WINDOWS},
    "TPU v5": {
        **_ASYNC_FUSION,
        **_OVERLAP,
        **_DATA_PARALLEL,
        **_PERMUTE,
        **_NO_WINDOWS,
        "xla_tpu_megacore_fusion_allow_ags": Flag(False, _MAXTEXT),
        "xla_tpu_enable_ag_backward_pipelining": Flag(True, _MAXTEXT),
    },
    "TPU v6 lite": {
        **_ASYNC_FUSION,
        **_NO_WINDOWS,
        "xla_tpu_scoped_vmem_limit_kib": Flag(98304, _MAXTEXT),
    },
    "TPU7x": {"xla_tpu_scoped_vmem_limit_kib": Flag(61440, _MAXTEXT)},
    "NVIDIA H100 80GB HBM3": {
        "xla_gpu_enable_latency_hiding_scheduler": Flag(True, _TOOLBOX),
        # cuBLAS: Triton's products need autotuning, which a plan without a GPU cannot do and fails.
        "xla_gpu_enable_triton_gemm": Flag(False, _MAXTEXT),
        # At least a layer's weights in one collective.
        "xla_gpu_all_gather_combine_threshold_bytes": Flag(134_217_728, _TOOLBOX),
        "xla_gpu_reduce_scatter_combine_threshold_bytes": Flag(134_217_728, _TOOLBOX),
        "xla_gpu_all_reduce_combine_threshold_bytes": Flag(134_217_728, _TOOLBOX),
    },
}
BY_KIND |= {
    "TPU v5e": BY_KIND["TPU v5 lite"],
    "TPU v5p": BY_KIND["TPU v5"],
    "TPU v6e": BY_KIND["TPU v6 lite"],
    "NVIDIA H200": BY_KIND["NVIDIA H100 80GB HBM3"],
}
# Across slices gradients go over the slow network: their reduction begins as soon as they are there.
SEVERAL_SLICES = _DATA_PARALLEL


def for_devices(devices: list, chosen: bool, own: tuple[tuple[str, str], ...]) -> dict[str, Value]:
    """The options of a compilation for these devices (see `options`)."""
    slices = {getattr(device, "slice_index", None) or 0 for device in devices}
    return options(devices[0].device_kind, len(slices), chosen, own)


def options(
    kind: str, slices: int, chosen: bool, own: tuple[tuple[str, str], ...]
) -> dict[str, Value]:
    """The options of a compilation for devices of `kind` (jax's device_kind).

    chosen: take those of this file; own: (name, value) pairs of the configuration, which win.
    """
    flags: dict[str, Flag] = {}
    if chosen:
        flags |= BY_KIND.get(kind, {})
        flags |= SEVERAL_SLICES if slices > 1 and kind.startswith("TPU") else {}
    return {name: flag.value for name, flag in flags.items()} | {
        name: _value(text) for name, text in own
    }


def _value(text: str) -> Value:
    """`true` and `false` are switches, digits a number, anything else stays text."""
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.lstrip("-").isdigit() else text


def compiled(lowered: Lowered, more: dict[str, Value] | None = None) -> Compiled:
    """Compiles a program, with `more` options than it was made with.

    Raises: UserError naming the option that the compiler does not know.
    """
    try:
        return lowered.compile(compiler_options=more)
    except JaxRuntimeError as error:
        _, found, rest = str(error).partition("No such compile option: '")
        if not found:
            raise
        name = rest.partition("'")[0]
    raise UserError(
        f"config.training.compiler_flags: this compiler knows no option {name!r}; without those that "
        "are chosen for the device: --config.training.device_flags=false"
    )
