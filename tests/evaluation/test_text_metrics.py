"""Metrics of texts: sacrebleu on sixteen systems, rouge-score, published answers, and by hand."""

import gzip
import json
from collections import Counter

import numpy as np
import pytest

from t2t.errors import UserError
from t2t.evaluation.metrics.catalog import metric
from t2t.evaluation.metrics.metric import Judged
from t2t.evaluation.metrics.question_answering import squad_normalized, trivia_qa_normalized


def judge(name: str, truths, values) -> dict[str, float]:
    one = metric(name, "test")
    return one.scores(one.rows([Judged(t, v) for t, v in zip(truths, values, strict=True)]))


# --- BLEU ---------------------------------------------------------------------------------------

# By sacrebleu 2.6.0's own command, `sacrebleu reference.txt -i SYSTEM.txt -tok intl -b -w 4`.
NEWSTEST2017 = {
    "C-3MA.4959": 23.0947,
    "FBK.4870": 26.5612,
    "KIT.4950": 26.6195,
    "LIUM-NMT.4900": 26.8935,
    "LMU-nmt-reranked.4934": 27.3251,
    "LMU-nmt-single.4893": 26.7916,
    "PROMT-Rule-based.4735": 16.7471,
    "RWTH-nmt-ensemble.4921": 26.3270,
    "SYSTRAN.4847": 27.0513,
    "TALP-UPC.4834": 21.4360,
    "online-A.0": 20.8589,
    "online-B.0": 26.7739,
    "online-F.0": 15.5909,
    "online-G.0": 18.1017,
    "uedin-nmt.4722": 28.5026,
    "xmu.4910": 26.8526,
}


@pytest.fixture(scope="module")
def newstest(shared_data) -> dict[str, list[str]]:
    path = shared_data / "tasks" / "newstest2017_en_de_16systems_and_reference.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


@pytest.mark.parametrize(
    "system",
    [  # two in every run, all sixteen (half a minute) with the slow tests
        pytest.param(s, marks=[] if s in ("FBK.4870", "online-F.0") else [pytest.mark.slow])
        for s in NEWSTEST2017
    ],
)
def test_newstest2017_systems_score_as_sacrebleu_scores_them(system, newstest):
    found = judge("bleu", newstest["reference"], newstest[f"newstest2017.{system}.en-de"])["bleu"]
    assert found == pytest.approx(NEWSTEST2017[system], abs=1e-4)


@pytest.mark.parametrize(
    ("truths", "values"),
    [
        (["this is a string"] * 2, ["", ""]),
        (["this is a string"], ["this is a string"]),
        (["a b c d e f", "g h"], ["a b x d e f", "g"]),  # too short: brevity penalty
        (["„Ähm“, sagte er."], ["„Ähm“ sagte er ."]),  # intl splits Unicode punctuation
        (["one two"], ["one"]),  # no longer n-gram at all
        (["x y z w"], ["q x q y"]),  # smoothed: no 2-gram matches
        (["Big"], ["big"]),  # case is kept
    ],
)
def test_bleu_of_odd_texts_is_sacrebleus(truths, values):
    import sacrebleu

    expected = sacrebleu.corpus_bleu(values, [truths], tokenize="intl", smooth_method="exp")
    assert judge("bleu", truths, values)["bleu"] == pytest.approx(expected.score)


def test_bleu_of_several_references_is_sacrebleus():
    import sacrebleu

    truths = [("the cat sat on the mat", "there is a cat on the mat"), ("a dog", "one dog barks")]
    values = ["the cat is on the mat", "one dog"]
    expected = sacrebleu.corpus_bleu(values, list(zip(*truths, strict=True)), tokenize="intl")
    assert judge("bleu", truths, values)["bleu"] == pytest.approx(expected.score)


# --- ROUGE --------------------------------------------------------------------------------------


def test_rouge_of_xsum_is_rouge_scores(shared_data):
    from rouge_score import rouge_scorer

    with gzip.open(shared_data / "tasks" / "xsum_test1000.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file][:60]
    truths = [row["summary"] for row in rows]
    values = [row["document"][: 40 + 5 * i] for i, row in enumerate(rows)]  # leads, some very short
    found = judge("rouge", truths, values)
    kinds = ["rouge1", "rouge2", "rougeLsum"]
    scorer = rouge_scorer.RougeScorer(kinds, use_stemmer=False)
    own = [
        scorer.score(t.replace(" . ", " .\n"), v.replace(" . ", " .\n"))
        for t, v in zip(truths, values, strict=True)
    ]
    for kind in kinds:
        assert found[kind] == pytest.approx(100 * np.mean([one[kind].fmeasure for one in own]))
    assert found["rouge1"] > 10


def test_rouge_by_hand():
    """All words match, and two of the three pairs; Lsum takes sentences in any order."""
    truth, value = "one two . three four", "three four . one two"
    found = judge("rouge", [truth], [value])
    assert found["rouge1"] == pytest.approx(100.0)
    assert found["rouge2"] == pytest.approx(100 * 2 / 3)  # (one two), (three four) of 3 pairs
    assert found["rougeLsum"] == pytest.approx(100.0)  # a line each: sentence order is free
    assert judge("rouge", ["a b"], [""]) == {"rouge1": 0.0, "rouge2": 0.0, "rougeLsum": 0.0}
    assert judge("rouge", ["a b"], [None])["rouge1"] == 0.0
    # Not stemmed; case and punctuation do not count; the best of several answers does.
    assert judge("rouge", ["running"], ["run"])["rouge1"] == 0.0
    assert judge("rouge", ["Run!"], ["run"])["rouge1"] == pytest.approx(100.0)
    assert judge("rouge", [("no", "run")], ["run"])["rouge1"] == pytest.approx(100.0)


# --- Questions ----------------------------------------------------------------------------------


def test_answers_are_normalized_as_the_official_scripts_do():
    """The published cases of T5's tests of both scripts' rules."""
    text = "`Needs\tA_LOT of the 'normalization'.\"‘"
    assert squad_normalized(text) == "needs alot of normalization‘"
    assert trivia_qa_normalized(text) == "needs lot of normalization"
    assert squad_normalized("The  Theatre, an A-ha!") == "theatre aha"
    assert trivia_qa_normalized("The  Theatre, an A-ha!") == "theatre ha"
    assert squad_normalized("") == "" and squad_normalized("the a an") == ""


def test_published_answers():
    """T5's own tests; 'a big  Moose!' is 'big moose'."""
    truths = [("big moose", "hippo"), ("correct1",), ("correct2.1", "correct2.2"), ("a", "b")]
    values = ["a big  Moose!", "wrong", "correct2.2", "c"]
    assert judge("squad", truths, values) == {"em": 50.0, "f1": 50.0}
    # "correct2 2" shares no whole word with "correct2 1" but is equal to the second answer.
    assert judge("trivia_qa", truths, values) == {"em": 50.0, "f1": 50.0}
    found = judge("squad", [("abc abd", "$$$$")], ["abd"])
    assert found == pytest.approx({"em": 0.0, "f1": 200 / 3})


def test_answers_by_hand():
    # Two of three words said are among the three wanted: precision 2/3, recall 2/3.
    assert judge("squad", [("red green blue",)], ["red blue blue"])["f1"] == pytest.approx(200 / 3)
    # Best of several, chosen for each score alone.
    assert judge("squad", [("x y", "y")], ["Y"]) == {"em": 100.0, "f1": 100.0}
    # Nothing said; nothing wanted after normalization: exact, but no word is shared.
    assert judge("squad", [("word",)], [""]) == {"em": 0.0, "f1": 0.0}
    assert judge("squad", [("word",)], [None]) == {"em": 0.0, "f1": 0.0}
    assert judge("squad", [("the",)], [""]) == {"em": 100.0, "f1": 0.0}
    # Unicode: case is folded, other marks are kept by SQuAD; TriviaQA drops some quotes.
    assert judge("squad", [("ZÜRICH",)], ["zürich"])["em"] == 100.0
    assert judge("squad", [("‘x’",)], ["x"])["em"] == 0.0
    assert judge("trivia_qa", [("‘x’",)], ["x"])["em"] == 100.0


def official_v2(truths: list[tuple[str, ...]], values: list[str]) -> tuple[float, float]:
    """Exact match and F1 as evaluate-v2.0.py describes them, an example after the other."""
    exact = f1 = 0.0
    for truth, value in zip(truths, values, strict=True):
        golds = [answer for answer in truth if squad_normalized(answer)] or [""]
        exact += max(squad_normalized(gold) == squad_normalized(value) for gold in golds)
        best = 0.0
        for gold in golds:
            wanted, said = squad_normalized(gold).split(), squad_normalized(value).split()
            shared = sum((Counter(wanted) & Counter(said)).values())
            if not wanted or not said:
                best = max(best, float(wanted == said))
            elif shared:
                best = max(best, 2 * shared / (len(wanted) + len(said)))
        f1 += best
    return 100 * exact / len(truths), 100 * f1 / len(truths)


def test_where_there_is_no_answer_none_is_right():
    truths = [("",), ("",), ("big moose", "the"), ("a hat",), ("red hat",), ("red hat",)]
    values = ["", "moose", "A big Moose!", "", "hat", "the"]
    found = judge("squad_v2", truths, values)
    em, f1 = official_v2(truths, values)
    assert (found["em"], found["f1"]) == pytest.approx((em, f1)) and em == pytest.approx(100 / 3)
    assert found["no_answer_f1"] == 50.0
    assert found["has_answer_f1"] == pytest.approx((1 + 2 / 3) / 4 * 100)
    assert np.isnan(judge("squad_v2", [("a hat",)], ["hat"])["no_answer_f1"])


def test_record_counts_a_query_once():
    one = metric("record", "test")
    truth = ("Ann", "Ann Lee")
    judged = [
        Judged(truth, "ann lee", group=(1, 1)),
        Judged(truth, "nobody", group=(1, 1)),  # the copy for the second answer
        Judged(("Bob",), "Bob Hope", group=(1, 2)),
    ]
    assert one.scores(one.rows(judged)) == pytest.approx({"em": 50.0, "f1": 100 * (1 + 2 / 3) / 2})


# --- Edit distance ------------------------------------------------------------------------------


def test_edit_distance_by_hand():
    """Words, lower case, cut at every character that is not of a word."""
    truths = ["The cat sat", "a b c d", "", "don't"]
    values = ["the dog sat", "a c d e", "x", "don t"]
    # 1 word changed; b dropped and e added; "" to "x"; the same two words.
    assert judge("edit_distance", truths, values) == {
        "min_edit": 0.0,
        "max_edit": 2.0,
        "mean_edit": 1.0,
        "median_edit": 1.0,
        "sum_edit": 4.0,
    }
    # Two cuts in a row make an empty word, as in T5: "a,", " ", "b" is a, (empty), b.
    assert judge("edit_distance", ["a, b"], ["a b"])["sum_edit"] == 1.0
    assert judge("edit_distance", [("far off", "near")], ["near"])["sum_edit"] == 0.0
    assert judge("edit_distance", ["Ä ö"], ["ä Ö"])["sum_edit"] == 0.0
    assert judge("edit_distance", ["a b"], [None])["sum_edit"] == 2.0


# --- What is no text ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["bleu", "rouge", "squad", "squad_v2", "trivia_qa", "record", "edit_distance"]
)
def test_labels_and_numbers_are_refused(name):
    with pytest.raises(UserError, match="judges texts; the task has `choices`"):
        judge(name, [1, 0], [1, None])
    with pytest.raises(UserError, match="judges texts; the task is `numeric`"):
        judge(name, [1.5, 2.0], [1.5, None])
