"""Small files laid out as the benchmarks' publishers ship them, of texts of our own."""

import hashlib
import json
import pathlib


def table(header: str, *rows: str) -> str:
    """Columns stand apart by `|` here and by tabs in the file."""
    lines = [header, *rows] if header else list(rows)
    return "".join(line.replace("|", "\t") + "\n" for line in lines)


def jsonl(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


_MNLI = "index|promptID|pairID|genre|s1_parse|s2_parse|sentence1|sentence2|label1|gold_label"
_STSB = "index|genre|filename|year|old_index|source1|source2|sentence1|sentence2|score"
_PAIRS = "index|sentence1|sentence2"
_QQP = "id|qid1|qid2|question1|question2|is_duplicate"
_MRPC = "\ufeffQuality|#1 ID|#2 ID|#1 String|#2 String"

GLUE = {
    "CoLA/train.tsv": table("", "gj04|1||The cat slept.", 'gj04|0|*|The cat "sleeped".'),
    "CoLA/dev.tsv": table("", "cj99|1||Who came?"),
    "CoLA/test.tsv": table("index|sentence", "0|Did he?", "1|He did did."),
    "SST-2/train.tsv": table("sentence|label", "a fine film |1", "dull |0"),
    "SST-2/dev.tsv": table("sentence|label", 'it "works" . |1'),
    "SST-2/test.tsv": table("index|sentence", "0|so so . "),
    "MRPC/msr_paraphrase_train.txt": table(
        _MRPC, "1|11|12|He ran.|Run he did.", "0|21|22|It rained.|It snowed.", "1|31|32|Go!|Leave!"
    ),
    "MRPC/dev_ids.tsv": table("", "21|22"),
    "MRPC/msr_paraphrase_test.txt": table(_MRPC, "1|41|42|He sang.|He was singing."),
    "QQP/train.tsv": table(
        _QQP, "133|1|2|How so?|Why so?|1", "134|3|4|cut off", "135|5|6|Who?|Where?|0"
    ),
    "QQP/dev.tsv": table(_QQP, "201|7|8|When?|At what time?|1"),
    "QQP/test.tsv": table("id|question1|question2", "0|Is it?|Isn't it?"),
    "STS-B/train.tsv": table(
        _STSB,
        "0|captions|MSR|2012|1|none|none|A man runs.|A man is running.|4.750",
        "1|news|MSR|2013|2|none|none|A dog.|A cat.|0.900",
    ),
    "STS-B/dev.tsv": table(_STSB, '0|news|MSR|2014|3|none|none|"Oh|Ah"|2.5'),
    "STS-B/test.tsv": table(_STSB.removesuffix("|score"), "0|news|MSR|2015|4|none|none|One.|Two."),
    "MNLI/train.tsv": table(
        _MNLI,
        "0|1|1n|fiction|(a)|(b)|It rains.|It is wet.|neutral|neutral",
        "1|2|2e|travel|(a)|(b)|He ran.|He moved.|entailment|entailment",
    ),
    "MNLI/dev_matched.tsv": table(
        _MNLI, "0|1|1c|fiction|(a)|(b)|It rains.|It is dry.|neutral|contradiction"
    ),
    "MNLI/dev_mismatched.tsv": table(
        _MNLI, "0|1|1c|verbatim|(a)|(b)|It snows.|It is hot.|neutral|contradiction"
    ),
    "MNLI/test_matched.tsv": table(
        _MNLI.removesuffix("|label1|gold_label"), "0|1|1c|fiction|(a)|(b)|One.|Two."
    ),
    "MNLI/test_mismatched.tsv": table(
        _MNLI.removesuffix("|label1|gold_label"), "0|1|1c|verbatim|(a)|(b)|Three.|Four."
    ),
    "QNLI/train.tsv": table("index|question|sentence|label", "0|Who?|He.|not_entailment"),
    "QNLI/dev.tsv": table("index|question|sentence|label", "0|When?|In May.|entailment"),
    "QNLI/test.tsv": table("index|question|sentence", "0|Where?|In Rome."),
    "RTE/train.tsv": table(_PAIRS + "|label", "0|He ran.|He moved.|entailment"),
    "RTE/dev.tsv": table(_PAIRS + "|label", "0|He ran.|He sat.|not_entailment"),
    "RTE/test.tsv": table(_PAIRS, "0|He ran.|He rested."),
    "WNLI/train.tsv": table(_PAIRS + "|label", "0|The jug hit it and it broke.|The jug broke.|1"),
    "WNLI/dev.tsv": table(_PAIRS + "|label", "0|Ann saw Eve as she left.|Ann saw Eve left.|0"),
    "WNLI/test.tsv": table(_PAIRS, "0|The cup fell, and it broke.|The cup broke."),
    "diagnostic/diagnostic.tsv": table(_PAIRS, "0|The cat sat.|The cat stood."),
}

_WSC = {
    "text": "Ruth paid Clara because she had worked .",
    "target": {"span2_index": 4, "span1_index": 2, "span1_text": "Clara", "span2_text": "she"},
    "idx": 0,
}
# Spans that are not in the text as they stand: case, a stop, a line break.
_WSC_MENDED = {
    "text": "Their old dog slept until it was fed .",
    "target": {
        "span2_index": 5,
        "span1_index": 0,
        "span1_text": "their old\ndog.",
        "span2_text": "It",
    },
    "idx": 1,
}


def _multirc(**label) -> dict:
    answers = [{"text": "In <b>May</b>", "idx": 7, **label}, {"text": "In June", "idx": 8, **label}]
    question = {"question": "When did Ida come home?", "idx": 3, "answers": answers}
    text = "<b>Sent 1: </b>Ida went to sea.<br>She came home in May.<br>"
    return {"idx": 2, "passage": {"text": text, "questions": [question]}}


def _record(answers: list[str] | None) -> dict:
    text = "Oslo voted today.\n@highlight\nAnn Berg won"
    spans = [{"start": 0, "end": 3}, {"start": 30, "end": 37}, {"start": 0, "end": 3}]
    query = {"query": "The mayor, @placeholder, spoke.", "idx": 6}
    if answers is not None:
        query["answers"] = [{"start": 0, "end": 1, "text": one} for one in answers]
    return {"idx": 4, "passage": {"text": text, "entities": spans}, "qas": [query]}


_PLAIN = {
    "BoolQ": ({"question": "is tea a drink", "passage": "Tea -- Tea is a drink."}, True),
    "CB": ({"premise": "I doubt he knew.", "hypothesis": "he knew"}, "contradiction"),
    "COPA": (
        {"premise": "It was wet.", "choice1": "Sun.", "choice2": "Rain.", "question": "cause"},
        1,
    ),
    "RTE": ({"premise": "He ran.", "hypothesis": "He moved."}, "entailment"),
    "WiC": (
        {
            "word": "run",
            "sentence1": "She runs.",
            "sentence2": "A run of luck.",
            "start1": 4,
            "start2": 2,
            "end1": 8,
            "end2": 5,
        },
        False,
    ),
}
SUPER_GLUE = {
    "AX-b/AX-b.jsonl": jsonl(
        {"sentence1": "Nobody came.", "sentence2": "Ann came.", "idx": 0, "label": "not_entailment"}
    ),
    "AX-g/AX-g.jsonl": jsonl(
        {"premise": "Ann saw Bob.", "hypothesis": "Ann saw.", "idx": 0, "label": "entailment"}
    ),
    "MultiRC/train.jsonl": jsonl(_multirc(label=1)),
    "MultiRC/val.jsonl": jsonl(_multirc(label=0)),
    "MultiRC/test.jsonl": jsonl(_multirc()),
    "ReCoRD/train.jsonl": jsonl(_record(["Oslo", "Ann Berg", "Oslo"])),
    "ReCoRD/val.jsonl": jsonl(_record(["Ann Berg"])),
    "ReCoRD/test.jsonl": jsonl(_record(None)),
    "WSC/train.jsonl": jsonl({**_WSC, "label": True}, {**_WSC_MENDED, "label": True}),
    "WSC/val.jsonl": jsonl({**_WSC_MENDED, "label": False}),
    "WSC/test.jsonl": jsonl(_WSC),
} | {
    f"{folder}/{split}.jsonl": jsonl(
        *({**row, "idx": idx} | ({} if split == "test" else {"label": label}) for idx in (0, 1))
    )
    for folder, (row, label) in _PLAIN.items()
    for split in ("train", "val", "test")
}

_ARTICLE = {
    "title": "Rhine",
    "paragraphs": [
        {
            "context": "The Rhine (766 miles) runs  north.\nIt ends in Holland.",
            "qas": [
                {
                    "id": "q1",
                    "question": "Where does it end?",
                    "answers": [
                        {"text": "Holland", "answer_start": 46},
                        {"text": "in Holland", "answer_start": 43},
                    ],
                },
                {
                    "id": "q2",
                    "question": "How long is it?",
                    "answers": [{"text": "766 miles", "answer_start": 11}],
                },
            ],
        }
    ],
}
_IMPOSSIBLE = {
    "title": "Elbe",
    "paragraphs": [
        {
            "context": "The Elbe runs north.",
            "qas": [
                {
                    "id": "q3",
                    "question": "How long is it?",
                    "answers": [],
                    "plausible_answers": [{"text": "north", "answer_start": 14}],
                    "is_impossible": True,
                }
            ],
        }
    ],
}
SQUAD = {
    name: json.dumps({"version": "1.1", "data": [_ARTICLE]})
    for name in ("train-v1.1.json", "dev-v1.1.json")
} | {
    name: json.dumps({"version": "v2.0", "data": [_ARTICLE, _IMPOSSIBLE]})
    for name in ("train-v2.0.json", "dev-v2.0.json")
}


def _trivia(question: str, pages: list[str], results: list[str]) -> str:
    answer = {
        "Aliases": ["The Rhine", " Rhein"],
        "NormalizedAliases": ["rhine", "rhein"],
        "NormalizedValue": "rhine",
        "Type": "WikipediaEntity",
        "Value": "The Rhine ",
    }
    entry = {
        "Answer": answer,
        "EntityPages": [
            {"DocSource": "TagMe", "Filename": name, "Title": name[:-4]} for name in pages
        ],
        "Question": question,
        "QuestionId": "tc_" + question[:4],
        "QuestionSource": "http://example.com",
        "SearchResults": [
            {"Description": "", "Filename": name, "Rank": 1, "Title": "", "Url": ""}
            for name in results
        ],
    }
    # TFDS reads the files by the indentation they are published with.
    return json.dumps({"Data": [entry], "Domain": "Web", "VerifiedEval": False}, indent=4)


TRIVIA = {
    "qa/web-train.json": _trivia("Which river passes Köln?", [], ["a/1.txt", "a/gone.txt"]),
    "qa/wikipedia-train.json": _trivia("Name Bonn's river.", ["Rhine.txt", "Bonn.txt"], []),
    "qa/web-dev.json": _trivia("What rises in the Alps?", ["Rhine.txt"], ["a/1.txt"]),
    "qa/wikipedia-dev.json": _trivia("And what else?", ["Bonn.txt"], []),
    "triviaqa-unfiltered/unfiltered-web-train.json": _trivia("Which one?", [], []),
    "triviaqa-unfiltered/unfiltered-web-dev.json": _trivia("Or which?", [], []),
    "evidence/web/a/1.txt": "Der RHEIN\n(or Rhine) is a river.\n",
    "evidence/wikipedia/Rhine.txt": "The Rhine -- a river -- rises in the Alps.",
    "evidence/wikipedia/Bonn.txt": "Bonn was a capital.",
}

OTHERS = {
    "boolq/train.jsonl": jsonl(
        {"question": "is it", "title": "It", "answer": True, "passage": "It is."}
    ),
    "boolq/dev.jsonl": jsonl(
        {"question": "was it", "title": "It", "answer": False, "passage": "It is."}
    ),
    "train.c.txt": "The bees stung the men because they ran.\nthey\nthe bees, the men\nthe men\n\n",
    "test.c.txt": (
        "Al hit Bo, and he fell.\nhe\nAl,Bo\nBo\n\nTim met Jo, then he left.\nhe\nTim,Jo\nTim\n"
    ),
    "lambada_development_plain_text.txt": "she opened the door and saw the cat\n",
    "lambada_test_plain_text.txt": "he lit a match and then the lamp\nshe sat by the lake\n",
    "wiki-split/train.tsv": table("", "It rained , so we left .|It rained . <::::> We left ."),
}


def _sgml(kind: str, *sentences: str) -> str:
    body = "".join(f'<seg id="{i}">{one}</seg>\n' for i, one in enumerate(sentences, 1))
    return (
        f'<{kind} setid="t" srclang="any">\n<doc docid="d">\n<p>\n{body}</p>\n</doc>\n</{kind}>\n'
    )


WMT = {
    "training/europarl-v7.de-en.en": "Good day.\n\nThank you.\n",
    "training/europarl-v7.de-en.de": "Guten Tag.\nLeer.\nDanke.\n",
    "commoncrawl.de-en.en": "Yes.\n",
    "commoncrawl.de-en.de": "Ja.\n",
    "training/news-commentary-v9.de-en.en": "News.\n",
    "training/news-commentary-v9.de-en.de": "Nachrichten.\n",
    "dev/newstest2013.en": "The end.\n",
    "dev/newstest2013.de": "Das Ende.\n",
    "dev/newstest2014-deen-src.de.sgm": _sgml("srcset", "Katz &amp; Maus", "Zwei"),
    "dev/newstest2014-deen-ref.en.sgm": _sgml("refset", "Cat &amp; mouse", "Two"),
}

_URLS = ["http://example.com/1", "http://example.com/2", "http://example.com/3"]
_NAMES = [hashlib.sha1(url.encode()).hexdigest() for url in _URLS]
CNN = {
    "url_lists/all_train.txt": "\n".join(_URLS) + "\n",
    "url_lists/all_val.txt": _URLS[1] + "\n",
    "url_lists/all_test.txt": _URLS[0] + "\n",
    f"cnn/stories/{_NAMES[0]}.story": (
        "(CNN) -- It rained.\n\nA man with a hat\n\n@highlight\n\nRain fell\n\n@highlight\n\nIt stopped.\n"
    ),
    f"dailymail/stories/{_NAMES[1]}.story": "By Ann\nHe said 'no'\n@highlight\nHe said no\n",
    f"cnn/stories/{_NAMES[2]}.story": "No highlight here\n",
}
XSUM = {
    "XSum-TRAINING-DEV-TEST-SPLIT-90-5-5.json": json.dumps(
        {"train": ["11", "404"], "validation": ["12"], "test": ["12"]}
    ),
} | {
    f"xsum-extracts-from-downloads/{name}.data": (
        f"[XSUM]URL[XSUM]\nhttp://example.com/{name}\n\n[XSUM]INTRODUCTION[XSUM]\nIntro {name}.\n\n"
        f'[XSUM]RESTBODY[XSUM]\nShare this with\nEmail\nBody {name}.\n\nMore "text".\n'
    )
    for name in ("11", "12")
}

EVERYTHING = GLUE | SUPER_GLUE | SQUAD | TRIVIA | OTHERS | WMT | CNN | XSUM


def write(folder: pathlib.Path, files: dict[str, str] = EVERYTHING) -> str:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return str(folder)
