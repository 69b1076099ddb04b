"""Translation as T5 poses it: `translate English to German: ...`; WMT and Multi30k.

Files: WMT's own (parallel text or SGML, in the folders that its archives unpack to), parallel text a
line a sentence (`wmt14_ende.train.en`, `multi30k.train.de`), or TFDS. Lengths 512/512 and beams of 4
with alpha 0.6 (T5). T5 judges German on newstest2013 (validation) and 2014 (test).
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from t2t.tasks.fields import text
from t2t.tasks.published_files import parallel
from t2t.tasks.task import BEAM, Example, Layout, Record, Source, Task, text_answer

LANGUAGES = {"en": "English", "de": "German", "fr": "French", "ro": "Romanian"}
SPLITS = ("train", "validation", "test")


def translate(source: str, target: str) -> Callable[[Record, str], Iterable[Example]]:
    """Examples from records {language code: sentence}."""
    prefix = f"translate {LANGUAGES[source]} to {LANGUAGES[target]}: "

    def examples(record: Record, split: str) -> Iterable[Example]:
        translation = text(record, target)
        yield Example(prefix + text(record, source), translation, translation)

    return examples


# Per split, files of the source and of the target language, corpus after corpus.
Files: TypeAlias = dict[str, tuple[str, ...]]


def _task(
    name: str, suite: str, tfds: str, languages: tuple[str, str], files: tuple[Files, ...], length
) -> Task:
    splits = tuple(files[0])
    read = parallel(*languages)
    return Task(
        name=name,
        suite=suite,
        source=Source(tfds, layouts=tuple(Layout(tuple(one.items()), read) for one in files)),
        splits=splits,
        examples=translate(*languages),
        read=text_answer,
        metrics=("bleu",),
        inputs_length=length,
        targets_length=length,
        decoding=BEAM,
    )


def _plain(pattern: str, *languages: str) -> tuple[str, str]:
    """The two files of a corpus of lines, `{}` being the language."""
    return tuple(pattern.format(code) for code in languages)


# --- WMT ----------------------------------------------------------------------------------------


def _wmt(name: str, tfds: str, target: str, **published: tuple[str, ...]) -> Task:
    """published: per split, names of WMT's corpora, as the archives unpack them; see `_corpus`."""
    splits = SPLITS if name != "wmt19_ende" else SPLITS[:2]
    plain = {split: _plain(f"{name}.{split}.{{}}", "en", target) for split in splits}
    wmt = {
        split: tuple(file for corpus in corpora for file in _corpus(corpus, target))
        for split, corpora in published.items()
    }
    return _task(name, "WMT", tfds, ("en", target), (plain, wmt), 512)


def _corpus(pattern: str, target: str) -> tuple[str, str]:
    """The English and the other file of a corpus: `{pair}` is as in `de-en`, `{}` the language.

    A name without `{}` is a test set of the archive dev.tgz, in SGML.
    """
    if "{}" in pattern:
        return _plain(pattern.replace("{pair}", f"{target}-en"), "en", target)
    stem = f"dev/{pattern}-{target}en"
    return f"{stem}-ref.en.sgm", f"{stem}-src.{target}.sgm"


_EUROPARL = "training/europarl-v7.{pair}.{}"
_CRAWL = "commoncrawl.{pair}.{}"
_UN = "un/undoc.2000.{pair}.{}"
_GIGA = "giga-fren.release2.fixed.{}"
_NEWS_9 = "training/news-commentary-v9.{pair}.{}"
_NEWS_10 = "news-commentary-v10.{pair}.{}"
_NEWS_13 = "training-parallel-nc-v13/news-commentary-v13.{pair}.{}"
_TEST_2013 = ("dev/newstest2013.{}",)

# --- Multi30k -----------------------------------------------------------------------------------


def _multi30k(*languages: str) -> Task:
    stems = {"train": "train", "validation": "val", "test_2016": "test_2016_flickr"}
    files = {split: _plain(f"multi30k.{stem}.{{}}", *languages) for split, stem in stems.items()}
    released = {split: _plain(f"{stem}.{{}}", *languages) for split, stem in stems.items()}
    name = "multi30k_" + "".join(languages)
    return _task(name, "Multi30k", "", languages, (files, released), 128)


TASKS: tuple[Task, ...] = (
    _wmt(
        "wmt_t2t_ende",
        "wmt_t2t_translate/de-en",
        "de",
        train=(_EUROPARL, _CRAWL, _NEWS_13),
        validation=_TEST_2013,
        test=("newstest2014",),
    ),
    _wmt(
        "wmt14_ende",
        "wmt14_translate/de-en",
        "de",
        train=(_EUROPARL, _CRAWL, _NEWS_9),
        validation=_TEST_2013,
        test=("newstest2014",),
    ),
    _wmt(
        "wmt14_enfr",
        "wmt14_translate/fr-en",
        "fr",
        train=(_EUROPARL, _CRAWL, _UN, _NEWS_9, _GIGA),
        validation=_TEST_2013,
        test=("newstest2014",),
    ),
    _wmt(
        "wmt15_enfr",
        "wmt15_translate/fr-en",
        "fr",
        train=(_EUROPARL, _CRAWL, _UN, _NEWS_10, _GIGA),
        validation=("newsdiscussdev2015", "newstest2014"),
        test=("newsdiscusstest2015",),
    ),
    _wmt(  # its training data are TMX archives besides: by TFDS
        "wmt16_enro",
        "wmt16_translate/ro-en",
        "ro",
        validation=("newsdev2016",),
        test=("newstest2016",),
    ),
    _wmt("wmt19_ende", "wmt19_translate/de-en", "de", validation=("newstest2018",)),
    _multi30k("en", "de"),
    _multi30k("de", "en"),
)
