"""JAX's persistent compilation cache, on by default, and whether a compile found its program there."""

import os
import threading

HIT = "/jax/compilation_cache/cache_hits"
MISS = "/jax/compilation_cache/cache_misses"


def cache_root() -> str:
    """Returns the folder of everything t2t can make again: $T2T_CACHE, or the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("T2T_CACHE") or os.path.join(base, "t2t")


def enable() -> str:
    """Points JAX at the cache unless the user already did (JAX_COMPILATION_CACHE_DIR); returns it."""
    import jax

    folder = jax.config.jax_compilation_cache_dir
    if not folder:
        folder = os.path.join(cache_root(), "compiled")
        jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


class CacheEvents:
    """Counts cache hits and misses inside its `with` (JAX offers no per-compile answer)."""

    def __init__(self):
        self.hits = self.misses = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "CacheEvents":
        import jax

        jax.monitoring.register_event_listener(self._event)
        return self

    def __exit__(self, *_) -> None:
        import jax

        jax.monitoring.unregister_event_listener(self._event)

    def _event(self, name: str, **_) -> None:
        with self._lock:
            self.hits += name == HIT
            self.misses += name == MISS

    def summary(self) -> str:
        """Returns "cache hit", "cache miss" or, where nothing was long enough to keep, "not cached"."""
        if self.misses:
            return "cache miss"
        return "cache hit" if self.hits else "not cached"
