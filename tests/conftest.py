"""Eight simulated devices and a shared compile cache for every test; the real data where it stands."""

import os
import pathlib
import tempfile

# Before jax is imported anywhere. NPROC: XLA's CPU client sizes its thread pool by it, and eight
# simulated devices on two cores deadlock in collectives when the pool is smaller than they need.
os.environ.setdefault("NPROC", "32")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    ).strip()
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "t2t-test-compile-cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The real corpora, task sets and vocabularies beside the checkout; skips where they are absent."""
    path = REPOSITORY.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("the shared data folder is not beside this checkout")
    return path


@pytest.fixture
def s3(monkeypatch):
    """A client of an S3 server on this machine, which every library then takes for S3 itself."""
    server_module = pytest.importorskip("moto.server")
    import boto3
    import fsspec

    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield boto3.client("s3")
    finally:
        server.stop()
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # it knows this server's port
