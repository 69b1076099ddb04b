"""What an objective asks of those who make its batches; each of them says so of itself."""

from typing import ClassVar


class Traits:
    """The defaults: a token store's plain text, a row at a time."""

    # Where words begin and sentences end (vocabulary.marks).
    takes_marks: ClassVar[bool] = False
    # How often tokens stand in the training text (vocabulary.counts).
    takes_counts: ClassVar[bool] = False
    # A text from another document beside each example's own.
    takes_other_text: ClassVar[bool] = False
    # Inputs of a task that are two texts.
    takes_two_texts: ClassVar[bool] = False
    # Which sample an example is of, and the text behind it.
    has_stages: ClassVar[bool] = False
    # Where sentences begin with a discourse marker (vocabulary.markers).
    takes_markers: ClassVar[bool] = False
    # What a segmenter said of each token (t2t.data.span_marks).
    takes_segments: ClassVar[bool] = False
    # Predictions see what stands at their own place: a mask, mostly.
    shows_places: ClassVar[bool] = False
    # How many tokens before its own a row remembers.
    memory: ClassVar[int] = 0
    # Half of the streams are read from their end.
    both_ways: ClassVar[bool] = False

    @property
    def takes_token_marks(self) -> bool:
        """Whether it asks what is said of each token: by a segmenter, or where an answer stands."""
        return self.takes_segments
