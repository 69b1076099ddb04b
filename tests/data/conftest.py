"""Fixtures of the preparation's tests."""

import pytest

from t2t.data import prepare as preparation
from t2t.data.source_config import Jsonl
from tests.data.prepared_texts import texts_of, write_jsonl


@pytest.fixture
def corpus(tmp_path):
    """(source, its documents): five files, one of them gzipped, one a single document."""
    texts = [texts_of(n, seed) for seed, n in enumerate((40, 1, 90, 25, 60))]
    for i, part in enumerate(texts):
        write_jsonl(tmp_path / f"{i}.jsonl{'.gz' * (i == 2)}", part)
    return Jsonl((str(tmp_path / "*.jsonl*"),)), [text for part in texts for text in part]


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of 2,000 characters: dozens of them in a corpus that takes no time."""
    monkeypatch.setattr(preparation, "PIECE_CHARACTERS", 2000)
