"""Prepares a TFDS dataset, in a process of its own: `python -m t2t.data.tfds_prepare NAME`.

Most of TFDS's builders import TensorFlow, which training never does; it is the extra `tf`. Without
it, datasets whose builders do not need it are prepared all the same.
"""

import argparse
import sys

from t2t.errors import Failure, UserError, install_extra


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m t2t.data.tfds_prepare", description=__doc__)
    parser.add_argument("name", help="name[/config][:version], as TFDS writes it")
    parser.add_argument("--data_dir", default="", help="default: TFDS_DATA_DIR, or TFDS's own")
    given = parser.parse_args(arguments)
    try:
        print(prepare(given.name, given.data_dir))
    except (UserError, Failure) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    return 0


def prepare(name: str, data_dir: str = "") -> str:
    """Downloads and prepares a dataset as ArrayRecord files; returns its folder.

    Raises UserError for an unknown dataset and where TensorFlow is needed and absent; Failure when
    the download or the preparation fails.
    """
    from t2t.data import tfds_source
    from t2t.data.source_config import Tfds

    folder = tfds_source.data_dir(Tfds(name, data_dir=data_dir))
    try:
        builder = _builder(name, folder)
        builder.download_and_prepare(file_format="array_record")
    except UserError:
        raise
    except Exception as error:
        if _wants_tensorflow(error):
            raise UserError(
                f"{name}: preparing it needs TensorFlow, which is absent; {install_extra('tf')}"
            ) from error
        text = " ".join(str(error).split())[:300]
        raise Failure(f"{name}: cannot be prepared: {type(error).__name__}: {text}") from error
    return str(builder.data_dir)


def _builder(name: str, folder: str):
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=folder, file_format="array_record")
    except tfds.core.DatasetNotFoundError as error:
        # TFDS says the same of a dataset it does not know and of one whose builder cannot be
        # imported because TensorFlow is absent.
        if not _has_tensorflow():
            raise UserError(
                f"{name}: unknown to TFDS, or its builder needs TensorFlow, which is absent; "
                f"{install_extra('tf')}"
            ) from error
        raise UserError(f"{name}: unknown to TFDS") from error


def _has_tensorflow() -> bool:
    import importlib.util

    return importlib.util.find_spec("tensorflow") is not None


def _wants_tensorflow(error: BaseException | None) -> bool:
    """Whether the error, or one that led to it, is that TensorFlow cannot be imported."""
    while error is not None:
        if isinstance(error, ImportError) and "tensorflow" in str(error).lower():
            return not _has_tensorflow()
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    sys.exit(main())
