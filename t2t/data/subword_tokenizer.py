"""WordPiece, byte-level BPE and any other `tokenizer.json`, by Hugging Face's `tokenizers` library."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence

import numpy as np

from t2t.data import files
from t2t.data.vocabulary import Vocabulary, kept_ids, roles
from t2t.errors import UserError

_JSON, _TEXT, _VOCABULARY, _MERGES = "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"
_SETTINGS = ("special_tokens_map.json", "tokenizer_config.json")
# Their key -> the names that such a token usually has.
_TOKENS = {
    "pad_token": ("[PAD]", "<pad>"),
    "eos_token": ("</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "[SEP]"),
    "unk_token": ("[UNK]", "<unk>", "<|endoftext|>"),
    "bos_token": (),
    "cls_token": (),
    "sep_token": (),
    "mask_token": (),
}


class SubwordTokenizer:
    """A vocabulary that the `tokenizers` library knows; see tokenizer_config.Subwords.

    `content` is its tokenizer.json, `tokens` its special tokens by their key there ("mask_token").
    Where a text may end with no token of its own (BERT), [SEP] is the end of sequence; where there
    is no padding (GPT-2), the end of sequence is.
    """

    extra_ids = 0  # sentinels are in the file, if it has any

    def __init__(self, path: str, lowercase: bool | None = None, tokens: dict | None = None):
        """tokens: the special ones of a tokenizer.json; None: found beside the file."""
        self.path = path
        if tokens is None:
            self.content, self.tokens = _read(path, lowercase)
        else:
            self.content, self.tokens = json.dumps(_json(path)), tokens
        self._tokenizer = None
        self.vocabulary = self._facts()

    def __getstate__(self):
        return {**self.__dict__, "_tokenizer": None}

    @property
    def tokenizer(self):
        """The library's tokenizer, loaded when first asked for."""
        if self._tokenizer is None:
            self._tokenizer = _load(self.content, self.path)
        return self._tokenizer

    def _facts(self) -> Vocabulary:
        ids = self.tokenizer.get_vocab(with_added_tokens=True)
        size = max(ids.values(), default=-1) + 1
        if not size:
            raise UserError(f"{self.path}: the vocabulary is empty")

        def find(key: str) -> int | None:
            named = self.tokens.get(key)
            if named is not None and named not in ids:
                raise UserError(f"{self.path}: the {key} {named!r} is not in the vocabulary")
            return next((ids[n] for n in (named, *_TOKENS[key]) if n in ids), None)

        found = {key: find(key) for key in _TOKENS}
        eos = found["eos_token"]
        if eos is None:
            raise UserError(
                f"{self.path}: no end of sequence ({', '.join(_TOKENS['eos_token'])}) in the "
                "vocabulary; name it as eos_token in a tokenizer_config.json beside it"
            )
        added = json.loads(self.content).get("added_tokens", [])
        special = {token["content"]: token["id"] for token in added if token.get("special")}
        usual = roles({name: ids[name] for name in ids if name in special or name[:1] in "[<"})
        who = {role: found[f"{role[:-3]}_token"] for role in usual}
        who = {role: usual[role] if index is None else index for role, index in who.items()}
        sentinels = []
        while (index := ids.get(f"<extra_id_{len(sentinels)}>")) is not None:
            sentinels.append(index)
        facts = json.loads(self.content)
        same = {key: facts.get(key) for key in ("model", "normalizer", "pre_tokenizer")}
        text = json.dumps([same, sorted(special.items()), eos], sort_keys=True)
        return Vocabulary(
            size=size,
            sentinels=tuple(sentinels),
            fingerprint=hashlib.sha256(text.encode()).hexdigest()[:32],
            pad_id=eos if found["pad_token"] is None else found["pad_token"],
            eos_id=eos,
            unk_id=eos if found["unk_token"] is None else found["unk_token"],
            named=tuple(sorted(special.items())),
            separators=self._separators(who["cls_id"]),
            **who,
        )

    def _separators(self, cls: int | None) -> int:
        """How many [SEP]s stand between two texts: what the file's own template adds for a second; without
        one RoBERTa's two, which is known by its [CLS]."""
        more = self.tokenizer.num_special_tokens_to_add(True)
        more -= self.tokenizer.num_special_tokens_to_add(False)
        roberta = cls is not None and self.tokenizer.id_to_token(cls) == "<s>"
        return more or (2 if roberta else 1)

    def tokens_named(self) -> dict[str, str]:
        """The special tokens by their key in a tokenizer_config.json."""
        facts = self.vocabulary
        ids = {key: getattr(facts, f"{key.removesuffix('_token')}_id") for key in _TOKENS}
        return {k: self.tokenizer.id_to_token(i) for k, i in ids.items() if i is not None}

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        found = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(one.ids, np.int32) for one in found]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Ids of each text, int32 [T], and the characters of it [begin, end) that each token has, [T, 2].

        A token that opens with the space before its word (byte-level BPE) has that space too.
        """
        found = self.tokenizer.encode_batch(list(map(str, texts)), add_special_tokens=False)
        return [
            (np.array(one.ids, np.int32), np.array(one.offsets, np.int32).reshape(-1, 2))
            for one in found
        ]

    def decode(self, ids: Iterable[int], stop_at_eos: bool = True) -> str:
        kept = kept_ids(self.vocabulary, ids, stop_at_eos)
        return self.tokenizer.decode(kept, skip_special_tokens=False)

    def pieces(self, ids: Iterable[int]) -> list[str]:
        unknown = self.tokenizer.id_to_token(self.vocabulary.unk_id)
        return [self.tokenizer.id_to_token(int(i)) if i >= 0 else unknown for i in ids]


def _load(content: str, path: str):
    # Parallel work is cut by shards, a process each; and its threads do not survive a fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(content)
    except Exception as error:  # the library raises nothing narrower
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: is no tokenizer.json, or a damaged one ({reason})") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _read(path: str, lowercase: bool | None) -> tuple[str, dict[str, str]]:
    """Returns (tokenizer.json, special tokens by key) of a file or a folder."""
    folder, _, name = path.rpartition("/")
    if not name.endswith((".json", ".txt", ".model")):
        folder, there = path.rstrip("/"), files.listing(path.rstrip("/"))
        name = next((n for n in (_JSON, _TEXT, _VOCABULARY) if n in there), None)
        if name is None:
            raise UserError(f"{path}: holds no {_JSON}, {_TEXT} or {_VOCABULARY}")
    beside = files.listing(folder or ".")
    where = f"{folder}/" if folder else ""
    settings: dict = {}
    for one in _SETTINGS:
        if one in beside:
            settings |= _known(_json(f"{where}{one}"), f"{where}{one}")
    tokens = {key: settings[key] for key in _TOKENS if key in settings}
    if name.endswith(".txt") and name != _MERGES:
        if lowercase is None:
            lowercase = settings.get("do_lower_case")
        return _wordpiece(f"{where}{name}", lowercase), tokens
    if name == _MERGES:
        name = _VOCABULARY
    found = _json(f"{where}{name}")
    if "model" in found:
        return json.dumps(found), tokens
    return _byte_bpe(f"{where}{name}", found, f"{where}{_MERGES}"), tokens


def _json(path: str) -> dict:
    try:
        found = json.loads(files.read_bytes(path))
    except ValueError:
        raise UserError(f"{path}: is not JSON, or is damaged") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: is no JSON object")
    return found


def _known(settings: dict, where: str) -> dict[str, str | bool]:
    """Returns special tokens by their key, and `do_lower_case`, as far as a file of settings has them.

    Raises: UserError naming a key whose value is none.
    """
    found: dict[str, str | bool] = {}
    for key in _TOKENS:
        token = settings.get(key)
        name = token.get("content") if isinstance(token, dict) else token
        if not isinstance(name, str | None) or (token is not None and name is None):
            raise UserError(f"{where}: {key} is {token!r}, not a token")
        if name:
            found[key] = name
    lowercase = settings.get("do_lower_case")
    if lowercase is not None:
        if not isinstance(lowercase, bool):
            raise UserError(f"{where}: do_lower_case is {lowercase!r}, not true or false")
        found["do_lower_case"] = lowercase
    return found


def _wordpiece(path: str, lowercase: bool | None) -> str:
    """BERT's `vocab.txt`, a piece a line, as a tokenizer.json."""
    try:
        pieces = files.read_bytes(path).decode().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text, a piece a line") from None
    ids = {piece: index for index, piece in enumerate(pieces)}
    special = [n for n in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if n in ids]
    if "[UNK]" not in ids or len(ids) != len(pieces):
        raise UserError(f"{path}: is no WordPiece vocabulary: no [UNK], or a piece stands twice")
    if lowercase is None:
        lowercase = not any(p != p.lower() for p in pieces if not p.startswith("["))
    return wordpiece(ids, special, lowercase).to_str()


def wordpiece(ids: dict[str, int], special: Sequence[str], lowercase: bool):
    """The library's tokenizer of BERT's kind: its normalisation, words, and greedy longest match."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(list(special))
    return tokenizer


def _byte_bpe(path: str, ids: dict, merges_path: str) -> str:
    """GPT-2's `vocab.json` and `merges.txt` as a tokenizer.json."""
    try:
        lines = files.read_bytes(merges_path).decode().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{merges_path}: is not UTF-8 text, a merge a line") from None
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>")
    try:
        tokenizer = byte_bpe(ids, merges, [name for name in names if name in ids])
    except Exception as error:  # the library raises nothing narrower
        raise UserError(
            f"{path}: does not fit {_MERGES} ({' '.join(str(error).split())})"
        ) from None
    return tokenizer.to_str()


def byte_bpe(ids: dict[str, int], merges: Sequence[tuple], special: Sequence[str]):
    """The library's tokenizer of GPT-2's kind; it has no unknown text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(ids, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    return tokenizer
