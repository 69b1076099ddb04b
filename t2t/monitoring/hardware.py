"""What a run runs on, for its record."""

import os
import platform


def hardware() -> dict[str, str | int | float]:
    """Returns the devices that jax has, and this host: system, processor, cores, memory in GiB."""
    import jax

    device = jax.devices()[0]
    found: dict[str, str | int | float] = {
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "processes": jax.process_count(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
    }
    held = (device.memory_stats() or {}).get("bytes_limit")
    if held:
        found["device_memory_gib"] = round(held / 2**30, 1)
    if "SC_PHYS_PAGES" in os.sysconf_names:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found["memory_gib"] = round(pages / 2**30, 1)
    return found


def _processor() -> str:
    """The processor's name: Linux has it in /proc only."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [
                line.partition(":")[2].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
