"""Every kind of source yields the documents that were written by something else, or names the place."""

import csv
import gzip
import json
import pathlib

import numpy as np
import pytest

from t2t.data import record_files, sources
from t2t.data.crc32c import crc32c, masked_crc32c
from t2t.data.source_config import ArrayRecord, Csv, Docstrings, Jsonl, Text, Tfds
from t2t.errors import UserError

TEXTS = [
    "The first one.",
    'It says "no", and then\nbreaks the line.',
    "Grüße aus Köln — 東京",
    "tab\there, comma, done",
    "x" * 3000,
]


def read(source) -> list[str]:
    return [text for shard in sources.shards(source) for text in sources.documents(shard)]


def packed(path: pathlib.Path, content: bytes, zipped: bool) -> str:
    """Writes content, gzipped where asked for; returns the path with the right ending."""
    path = path.with_name(path.name + ".gz") if zipped else path
    path.write_bytes(gzip.compress(content) if zipped else content)
    return str(path)


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_jsonl(tmp_path, zipped):
    lines = "".join(json.dumps({"id": i, "body": text}) + "\n" for i, text in enumerate(TEXTS))
    path = packed(tmp_path / "a.jsonl", lines.encode(), zipped)
    assert read(Jsonl((path,), field="body")) == TEXTS


def test_globs_are_read_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": name}) + "\n")
    assert read(Jsonl((f"{tmp_path}/*.jsonl",))) == ["a", "b", "c"]


@pytest.mark.parametrize("piece", [1, 7, 100, 10_000])
def test_a_file_cut_in_shards_yields_every_line_once(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(sources, "PIECE_BYTES", piece)
    texts = [f"line {i} " + "é" * (i % 40) for i in range(300)]
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(texts), encoding="utf-8")
    source = Text((str(path),), documents="line")
    assert len(sources.shards(source)) > 1 or piece == 10_000
    assert read(source) == texts


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_text_by_file_line_and_paragraph(tmp_path, zipped):
    content = "one\ntwo\n\n\nthree\nfour\n"
    path = packed(tmp_path / "a.txt", content.encode(), zipped)
    assert read(Text((path,))) == [content]
    assert read(Text((path,), documents="line")) == ["one", "two", "three", "four"]
    assert read(Text((path,), documents="paragraph")) == ["one\ntwo", "three\nfour"]


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("delimiter", [",", "\t"], ids=["csv", "tsv"])
def test_tables_as_the_standard_library_writes_them(tmp_path, zipped, delimiter):
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter=delimiter)
        table.writerows([("id", "text"), *enumerate(TEXTS)])
    path = packed(path, path.read_bytes(), zipped)
    assert read(Csv((path,), "text", delimiter)) == TEXTS


def test_unquoted_tables_take_quotes_as_characters(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"Only one quote\t1\nplain\t0\n')
    assert read(Csv((str(path),), "text", "\t", quoted=False)) == ['"Only one quote', "plain"]


def test_array_records_as_their_library_writes_them(tmp_path):
    module = pytest.importorskip("array_record.python.array_record_module")
    path = str(tmp_path / "a.array_record")
    writer = module.ArrayRecordWriter(path, "group_size:1")
    for text in TEXTS:
        writer.write(json.dumps({"text": text}).encode())
    writer.close()
    assert read(ArrayRecord((path,))) == TEXTS
    whole = read(ArrayRecord((path,), field=""))
    assert [json.loads(record)["text"] for record in whole] == TEXTS


def test_a_tfds_dataset_prepared_without_tensorflow(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")

    class Proverbs(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"said": {"text": tfds.features.Text()}})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i, text in enumerate(TEXTS):
                yield i, {"said": {"text": text}}

    builder = Proverbs(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    stored = [row["said"]["text"].decode() for row in builder.as_data_source("train")]
    where = {"field": "said/text", "data_dir": str(tmp_path)}
    assert read(Tfds("proverbs", **where)) == stored
    assert sorted(stored) == sorted(TEXTS)
    assert read(Tfds("proverbs", split="train[1:3]", **where)) == stored[1:3]
    with pytest.raises(UserError, match="'said/txt'"):
        read(Tfds("proverbs", field="said/txt", data_dir=str(tmp_path)))
    with pytest.raises(UserError, match="proverbs"):
        read(Tfds("proverb", **where))


# ------------------------------------------------------------------------------------ TFRecord


def slow_crc32c(data: bytes) -> int:
    """Bit by bit, from the polynomial (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_crc32c_equals_the_published_value_and_the_definition():
    assert slow_crc32c(b"123456789") == 0xE3069283
    rng = np.random.default_rng(0)
    strings = [bytes(rng.integers(0, 256, n, dtype=np.uint8)) for n in (0, 1, 9, 64, 65, 700, 700)]
    assert crc32c(strings).tolist() == [slow_crc32c(string) for string in strings]


def tfrecord(record: bytes) -> bytes:
    """TensorFlow's framing: length, its masked checksum, the record, its masked checksum."""

    def masked(data: bytes) -> bytes:
        crc = slow_crc32c(data)
        rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
        return ((rotated + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")

    length = len(record).to_bytes(8, "little")
    return length + masked(length) + record + masked(record)


def example(text: bytes) -> bytes:
    """A tf.train.Example with one bytes feature `text`, spelled out byte by byte."""

    def message(number: int, content: bytes) -> bytes:
        size, head = len(content), [number << 3 | 2]
        while size > 127:
            head.append(size & 127 | 128)
            size >>= 7
        return bytes([*head, size]) + content

    entry = message(1, b"text") + message(2, message(1, message(1, text)))
    return message(1, message(1, entry))


def test_tfrecords_and_examples_without_tensorflow(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(b"".join(tfrecord(example(text.encode())) for text in TEXTS))
    records = list(record_files.tfrecords(str(path)))
    assert [record_files.example_text(record, "text") for record in records] == TEXTS
    assert list(record_files.tfrecords(str(path), 1, 3)) == records[1:3]
    with pytest.raises(ValueError, match="'text'"):
        record_files.example_text(records[0], "txt")


def test_a_damaged_tfrecord_names_file_and_record(tmp_path):
    content = bytearray(b"".join(tfrecord(example(text.encode())) for text in TEXTS[:2]))
    content[-10] ^= 1
    path = tmp_path / "a.tfrecord"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tfrecord.*record 1"):
        list(record_files.tfrecords(str(path)))
    assert masked_crc32c([b""]).shape == (1,)


# ---------------------------------------------------------------------------------- bad sources


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b'{"text": "a"}\n{"txt": "b"}\n', ["a.jsonl:2", "'text'"]),
        (b'{"text": "a"}\n\n{"text": "b"\n', ["a.jsonl:3", "JSON"]),
        (b'{"text": "a"}\n["b"]\n', ["a.jsonl:2", "object"]),
        (b'{"text": "a"}\n{"text": null}\n', ["a.jsonl:2", "string"]),
        (b'{"text": "a"}\n{"text": "\xff"}\n', ["a.jsonl:2", "UTF-8"]),
    ],
    ids=["field", "broken", "not an object", "not a string", "not UTF-8"],
)
def test_a_bad_line_is_named(tmp_path, content, named):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read(Jsonl((str(path),)))
    assert all(word in str(error.value) for word in named), error.value


def test_bad_tables_files_and_archives_are_named(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("id,text\n1,a\n2,b,c\n")
    with pytest.raises(UserError, match=r"a\.csv:3: 3 fields"):
        read(Csv((str(table),), "text"))
    with pytest.raises(UserError, match="'text'"):
        read(Csv((str(table),), "txt"))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b'{"text": "a"}\n' * 1000)[:-20])
    with pytest.raises(UserError, match=r"cut\.jsonl\.gz"):
        read(Jsonl((str(cut),)))
    with pytest.raises(UserError, match=r"a\.csv"):
        read(Jsonl((str(tmp_path / "a.cvs"),)))  # the nearest file is named


# ------------------------------------------------------------------------- other kinds of source


def test_docstrings_are_prose_of_this_environment():
    source = Docstrings(packages=("stdlib",), maximum_bytes=300_000)
    texts = read(source)
    size = sum(len(text.encode()) for text in texts)
    assert 150_000 < size <= 300_000
    words = " ".join(texts).split()
    assert words.count("the") / len(words) > 0.03, "English, not code"
    assert ">>>" not in "".join(texts)
    assert read(source) == texts


@pytest.mark.slow
def test_sources_in_an_object_store(s3):
    s3.create_bucket(Bucket="texts")
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
    s3.put_object(Bucket="texts", Key="a/1.jsonl.gz", Body=gzip.compress(lines))
    s3.put_object(Bucket="texts", Key="a/2.jsonl", Body=lines)
    assert read(Jsonl(("s3://texts/a/*",))) == TEXTS * 2
    with pytest.raises(UserError, match="s3://texts/a/3.jsonl"):
        read(Jsonl(("s3://texts/a/3.jsonl",)))
