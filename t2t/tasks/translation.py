"""Translation as T5 poses it: `translate English to German: ...`; WMT and Multi30k.

Files: parallel text, a line a sentence (`multi30k.train.en`, `multi30k.train.de`). Lengths 512/512
and beams of 4 with alpha 0.6 (T5). T5 judges German on newstest2013 (validation) and 2014, French on
newstest2013 and 2014, Romanian on newsdev2016 and newstest2016.
"""

from collections.abc import Callable, Iterable

from t2t.tasks.published_files import parallel
from t2t.tasks.task import BEAM, Example, Layout, Record, Source, Task, text_answer

LANGUAGES = {"en": "English", "de": "German", "fr": "French", "ro": "Romanian"}
SPLITS = ("train", "validation", "test")


def translate(source: str, target: str) -> Callable[[Record, str], Iterable[Example]]:
    """Examples from records {language code: sentence}."""
    prefix = f"translate {LANGUAGES[source]} to {LANGUAGES[target]}: "

    def examples(record: Record, split: str) -> Iterable[Example]:
        text = record[target]
        yield Example(prefix + record[source], text, text, id=(record.get("idx", ""),))

    return examples


def _task(
    name: str, suite: str, tfds: str, source: str, target: str, files: dict[str, str], length: int
) -> Task:
    pairs = tuple((s, (f"{file}.{source}", f"{file}.{target}")) for s, file in files.items())
    return Task(
        name=name,
        suite=suite,
        source=Source(tfds, layouts=(Layout(pairs, parallel(source, target)),)),
        splits=tuple(files),
        examples=translate(source, target),
        read=text_answer,
        metrics=("bleu",),
        inputs_length=length,
        targets_length=length,
        decoding=BEAM,
    )


def _wmt(name: str, tfds: str, target: str) -> Task:
    splits = SPLITS if name != "wmt19_ende" else SPLITS[:2]
    files = {split: f"{name}.{split}" for split in splits}
    return _task(name, "WMT", tfds, "en", target, files, 512)


def _multi30k(source: str, target: str) -> Task:
    files = {
        "train": "multi30k.train",
        "validation": "multi30k.val",
        "test_2016": "multi30k.test_2016_flickr",
    }
    return _task(f"multi30k_{source}{target}", "Multi30k", "", source, target, files, 128)


TASKS: tuple[Task, ...] = (
    _wmt("wmt_t2t_ende", "wmt_t2t_translate/de-en", "de"),
    _wmt("wmt14_ende", "wmt14_translate/de-en", "de"),
    _wmt("wmt14_enfr", "wmt14_translate/fr-en", "fr"),
    _wmt("wmt15_enfr", "wmt15_translate/fr-en", "fr"),
    _wmt("wmt16_enro", "wmt16_translate/ro-en", "ro"),
    _wmt("wmt19_ende", "wmt19_translate/de-en", "de"),
    _multi30k("en", "de"),
    _multi30k("de", "en"),
)
