"""English discourse markers: adverbials that begin a sentence and tell how it follows from the one before.

Ours, after Sileo et al. 2019 ("Mining Discourse Markers for Unsupervised Sentence Representation
Learning"), whose list has 174: the commonest, one word or several. In a text each has a comma behind it, as
there, which tells `So, ...` from `So much ...`.
"""

MARKERS = tuple(
    """
    above all, accordingly, actually, additionally, admittedly, after all, afterwards, again, all in all,
    also, alternatively, altogether, and, anyway, apparently, as a result, as before, as usual, at first,
    at last, at least, at the same time, basically, besides, but, by contrast, by the way, by then,
    certainly, clearly, consequently, conversely, curiously, currently, doubtless, earlier, elsewhere,
    especially, essentially, even so, even then, eventually, evidently, finally, first, first of all, firstly,
    for example, for instance, for that reason, for this reason, formerly, fortunately, frequently,
    further, furthermore, generally, gradually, happily, hence, here, historically, hopefully, however,
    ideally, immediately, importantly, in addition, in any case, in comparison, in contrast, in fact,
    in general, in other words, in particular, in practice, in short, in some cases, in sum, in that case,
    in the beginning, in the end, in the meantime, in the same way, in this case, in this way, in time,
    in turn, incidentally, indeed, inevitably, initially, instead, interestingly, ironically, lastly, lately,
    later, likewise, luckily, maybe, meantime, meanwhile, moreover, mostly, namely, naturally,
    nevertheless, next, no doubt, nonetheless, normally, notably, now, obviously, occasionally, oddly,
    of course, often, on the contrary, on the other hand, on the whole, once, once more, only, or,
    ordinarily, originally, otherwise, overall, particularly, perhaps, plainly, possibly, presently,
    presumably, previously, probably, rather, really, recently, regardless, remarkably, sadly, second,
    secondly, seriously, similarly, simultaneously, so, sometimes, soon, specifically, still, strangely,
    strictly speaking, subsequently, suddenly, surely, surprisingly, technically, thankfully, that is,
    then, there, thereafter, therefore, third, thirdly, though, thus, to be sure, to begin with, together,
    traditionally, truly, typically, ultimately, undoubtedly, unfortunately, unhappily, usually, well, yet
    """.replace("\n", " ")
    .strip()
    .split(",")
)
MARKERS = tuple(" ".join(marker.split()) for marker in MARKERS)


def spellings(tokenizer, markers: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Returns the tokens of each marker at a sentence's beginning, its comma behind it.

    Empty where the vocabulary cannot spell it. A space before it is what stands before a word.
    """
    unknown = tokenizer.vocabulary.unk_id
    rows = [tuple(ids.tolist()) for ids in tokenizer.encode([f" {_begun(m)}," for m in markers])]
    return tuple(() if unknown in row else row for row in rows)


def _begun(marker: str) -> str:
    return marker[:1].upper() + marker[1:]
