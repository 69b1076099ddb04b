"""ArrayRecord and TFRecord files, and the text of a serialized tf.train.Example in them.

TensorFlow is not needed: TFRecord's frame is a length, its checksum, the record, its checksum
(masked CRC-32C, both verified); an Example is a protocol buffer of three levels.
"""

import contextlib
import os
import struct
import tempfile
from collections.abc import Iterator

from t2t.data import files
from t2t.data.crc32c import masked_crc32c
from t2t.errors import UserError, nearest

_BATCH = 256  # records read, and checked, together
_BATCH_BYTES = 8 << 20


def ranges(count: int, size: int, piece_bytes: int) -> list[tuple[int, int]]:
    """Cuts `count` records of a file of `size` bytes into runs [begin, end) of about
    `piece_bytes`."""
    pieces = max(1, min(count, round(size / piece_bytes)))
    cuts = [count * i // pieces for i in range(pieces + 1)]
    return list(zip(cuts, cuts[1:], strict=False))


def utf8(record: bytes) -> str:
    """The record as text; ValueError names the first byte that is not UTF-8."""
    try:
        return record.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"not UTF-8: byte 0x{record[error.start]:02x} at offset {error.start}"
        ) from error


# --- ArrayRecord --------------------------------------------------------------------------------


@contextlib.contextmanager
def _array_record_reader(path: str):
    """A reader of a local file, or of a local copy of an object: the library needs real files."""
    from array_record.python.array_record_module import ArrayRecordReader

    with contextlib.ExitStack() as stack:
        local = os.path.expanduser(path)
        if files.is_remote(path):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="t2t-"))
            local = os.path.join(folder, "records")
            files.download(path, local)
        with files.errors_at(path):
            files.stat(local)
        try:
            reader = ArrayRecordReader(local)
            reader.num_records()
        except Exception as error:  # the library raises RuntimeError, ValueError, IndexError
            raise UserError(f"{path}: not an ArrayRecord file ({_short(error)})") from error
        stack.callback(reader.close)
        yield reader


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]


def array_record_ranges(file: files.File, piece_bytes: int) -> list[tuple[int, int]]:
    """The runs of records a file is read in; one for an object, which is copied to be read."""
    if files.is_remote(file.path):
        return [(0, -1)]
    with _array_record_reader(file.path) as reader:
        return ranges(reader.num_records(), file.size, piece_bytes)


def array_records(path: str, begin: int, end: int) -> Iterator[bytes]:
    """Records [begin, end) of an ArrayRecord file (-1: to its end)."""
    with _array_record_reader(path) as reader:
        last = reader.num_records() if end < 0 else end
        for start in range(begin, last, _BATCH):
            stop = min(start + _BATCH, last)
            try:
                batch = reader.read(start, stop)
            except Exception as error:
                raise UserError(
                    f"{path}: records {start} to {stop - 1} cannot be read ({_short(error)})"
                ) from error
            yield from batch


# --- TFRecord -----------------------------------------------------------------------------------


def tfrecords(path: str, begin: int = 0, end: int = -1) -> Iterator[bytes]:
    """Records [begin, end) of a TFRecord file, lengths and contents checked.

    Raises UserError naming the record where the file is damaged or ends too early.
    """
    with files.open_bytes(path) as file:
        number = 0
        for number in range(begin):
            length = _length(file, path, number)
            if length is None:
                return
            file.seek(length + 4, os.SEEK_CUR)
        number = begin
        batch: list[bytes] = []
        sums: list[int] = []
        while True:
            length = _length(file, path, number) if end < 0 or number < end else None
            full = len(batch) == _BATCH or sum(map(len, batch)) >= _BATCH_BYTES
            if batch and (length is None or full):
                wrong = masked_crc32c(batch) != sums
                if wrong.any():
                    raise UserError(
                        f"{path}: record {number - len(batch) + int(wrong.argmax())}: its checksum "
                        "is wrong; the file is damaged"
                    )
                yield from batch
                batch, sums = [], []
            if length is None:
                return
            with files.reading(path):
                body = file.read(length + 4)
            if len(body) < length + 4:
                raise UserError(f"{path}: record {number}: the file ends inside it; truncated")
            batch.append(body[:-4])
            sums.append(struct.unpack("<I", body[-4:])[0])
            number += 1


def _length(file, path: str, number: int) -> int | None:
    """The length of the record that starts here; None at the end of the file."""
    with files.reading(path):
        head = file.read(12)
    if not head:
        return None
    if len(head) < 12:
        raise UserError(f"{path}: record {number}: the file ends inside it; truncated")
    length, checksum = struct.unpack("<QI", head)
    if _length_checksum(head[:8]) != checksum:
        raise UserError(
            f"{path}: record {number}: the checksum of its length is wrong; "
            "the file is damaged, or no TFRecord file"
        )
    return length


_KNOWN_LENGTHS: dict[bytes, int] = {}


def _length_checksum(head: bytes) -> int:
    # Lengths repeat: most are looked up.
    if head not in _KNOWN_LENGTHS:
        if len(_KNOWN_LENGTHS) > 100_000:
            _KNOWN_LENGTHS.clear()
        _KNOWN_LENGTHS[head] = int(masked_crc32c([head])[0])
    return _KNOWN_LENGTHS[head]


# --- tf.train.Example ---------------------------------------------------------------------------


def example_text(record: bytes, field: str) -> str:
    """The text of feature `field` of a serialized tf.train.Example.

    Raises ValueError where the record is none, or has no such feature of one string.
    """
    features = _example_features(record)
    if field not in features:
        hint = nearest(field, features) or f"; it has {', '.join(map(repr, sorted(features)))}"
        raise ValueError(f"no feature {field!r}{hint}")
    kinds = list(_fields(features[field]))
    # Feature is a oneof: 1 is BytesList {1: repeated bytes}, 2 floats, 3 integers.
    if [number for number, _ in kinds] != [1]:
        raise ValueError(f"feature {field!r} holds no bytes")
    values = [value for _, value in _fields(kinds[0][1])]
    if len(values) != 1:
        raise ValueError(f"feature {field!r} holds {len(values)} strings, not one")
    try:
        return utf8(values[0])
    except ValueError as error:
        raise ValueError(f"feature {field!r}: {error}") from error


def example_values(record: bytes) -> dict[str, list]:
    """Every feature of a serialized tf.train.Example: texts, numbers or integers, as lists.

    Raises ValueError where the record is none, or a text is not UTF-8.
    """
    values = {}
    for name, feature in _example_features(record).items():
        values[name] = []
        for kind, content in _fields(feature):
            try:
                values[name] += _list_values(kind, content)
            except (ValueError, IndexError, struct.error) as error:
                raise ValueError(f"feature {name!r}: {error}") from error
    return values


def _list_values(kind: int, content: bytes) -> list:
    """The values of a BytesList (kind 1), FloatList (2) or Int64List (3), numbers packed."""
    if kind == 1:
        return [utf8(value) for _, value in _fields(content)]
    packed = b"".join(value for _, value in _fields(content))
    if kind == 2:
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    values, position = [], 0
    while position < len(packed):
        value, position = _varint(packed, position)
        values.append(value - (1 << 64) if value >= 1 << 63 else value)
    return values


def _example_features(record: bytes) -> dict[str, bytes]:
    """Example {1: Features {1: repeated map entry {1: name, 2: Feature}}}, the Features unread."""
    try:
        result = {}
        for number, features in _fields(record):
            if number != 1:
                raise ValueError
            for _, entry in _fields(features):
                parts = dict(_fields(entry))
                result[parts.get(1, b"").decode()] = parts.get(2, b"")
        return result
    except (ValueError, IndexError) as error:
        raise ValueError("neither a JSON object nor a tf.train.Example") from error


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, content) of the length-delimited fields of a message; ValueError for any other."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        if tag & 7 != 2:
            raise ValueError("a field that is no message or string")
        length, position = _varint(message, position)
        if position + length > len(message):
            raise ValueError("a field longer than its message")
        yield tag >> 3, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
