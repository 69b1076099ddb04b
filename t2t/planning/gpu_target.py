"""What XLA must be told of a GPU that is not here (its GpuTargetConfig, as text)."""

_HOPPER = """gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: {bandwidth} device_memory_size: {memory} l2_cache_size: 52428800
  cuda_compute_capability {{ major: 9 }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 28 patch: 1 }}
runtime_version {{ major: 13 minor: 5 patch: 0 }}
device_description_str: "{name}"
"""

TARGETS = {
    "h100": _HOPPER.format(
        bandwidth=3_352_320_000_000, memory=84_929_347_584, name="NVIDIA H100 80GB HBM3"
    ),
    "h200": _HOPPER.format(bandwidth=4_800_000_000_000, memory=150_754_820_096, name="NVIDIA H200"),
}
