"""What tells a checkpoint from any other, so that results made with it are not taken for another's."""

import pathlib

from t2t.errors import Failure, UserError
from t2t.evaluation.prepared import content_hash
from t2t.interop.opening import is_published, open_published
from t2t.training.checkpoint_reading import Unsound, checksum, read_manifest


def identity(workdir: str, step: int | None, vocabulary: str) -> str:
    """Returns a hash of a run's checkpoint, or of published weights, which have no steps.

    vocabulary: the fingerprint of the one that the run has now. Raises: UserError where that is not
    the one of the checkpoint; Failure where the checkpoint is not sound.
    """
    if is_published(workdir):
        where = pathlib.Path(open_published(workdir).where)
        files = sorted(p for p in (where.iterdir() if where.is_dir() else [where]) if p.is_file())
        return content_hash([(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files])
    folder = f"{workdir}/checkpoints"
    try:
        manifest = read_manifest(folder, step)
    except Unsound as error:
        raise Failure(f"{folder}/{step}: is not sound: {error}") from error
    trained = manifest["record"].get("tokenizer", vocabulary)
    if trained != vocabulary:
        raise UserError(
            f"{workdir}: the vocabulary is no longer the one that step {step} was trained with "
            f"({trained} -> {vocabulary}); put it back"
        )
    return f"{checksum(manifest):08x}"
