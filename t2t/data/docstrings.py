"""The prose that every Python environment carries: docstrings and pydoc's topics.

Files are parsed with `ast`, never imported. Of a docstring the paragraphs that read like English
are kept (not doctests, tables, formulas or lists of names), each once in a shard; what is left of a
file is one document, or several where it is long.

Parsing is what costs, so the files richest in docstrings are chosen first: for 10 MB of text about
25 MB of source are parsed, where taking files in their order would parse 60.
"""

import ast
import functools
import inspect
import os
import re
import site
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from typing import NamedTuple

# Part of the fingerprint: raise it when the same files would yield other text.
FILTER_VERSION = 1

STDLIB = "stdlib"
# What t2t's core installs comes first, so that a small maximum_bytes yields about the same text in
# every environment, whatever else is installed.
_CORE = (
    STDLIB,
    "numpy",
    "scipy",
    "jax",
    "flax",
    "optax",
    "orbax",
    "tensorflow_datasets",
    "grain",
    "etils",
    "absl",
    "ml_collections",
    "fsspec",
    "tqdm",
)
_SKIPPED = frozenset(
    [
        "__pycache__",
        "_vendor",
        "dist-packages",
        "idlelib",
        "lib2to3",
        "site-packages",
        "test",
        "testing",
        "tests",
    ]
)
_BLOCK = re.compile(rb'"""(.*?)"""', re.DOTALL)
_LEAST_BLOCK = 200  # bytes: a shorter string is a line of documentation, or code
_LEAST_FILE = 1500  # bytes of such blocks: fewer are not worth parsing a file
_MOST_BLOCK = 30_000  # bytes: a longer one is data, or two quotes that do not belong together
_LEAST_SHARE = 0.15  # of a file's bytes
_PROSE_SHARE = 0.55  # of the blocks' bytes, how many end as prose (measured: 0.5 to 0.8)
_GROUP_BYTES = 2_000_000  # of blocks in a shard: about a second's work
_DOCUMENT_CHARACTERS = 20_000

# The language reference as pydoc shows it: all prose, but its strings are not triple-quoted.
_TOPICS = os.path.join("pydoc_data", "topics.py")

_WORD = re.compile(r"[A-Za-z]{2,}")
_BREAK = re.compile(r"\n[ \t]*\n")
_RULE = re.compile(r"^[ \t]*[-=~^*`\"'#.]{3,}[ \t]*$\n?", re.MULTILINE)
_COMMON = frozenset(
    [
        "a",
        "all",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "for",
        "from",
        "has",
        "if",
        "in",
        "is",
        "it",
        "its",
        "may",
        "not",
        "of",
        "on",
        "one",
        "or",
        "set",
        "that",
        "the",
        "this",
        "to",
        "used",
        "was",
        "when",
        "which",
        "will",
        "with",
        "you",
    ]
)


class Group(NamedTuple):
    """Files that one shard reads, and the most bytes of text to take from them."""

    name: str
    members: tuple[str, ...]
    maximum_bytes: int


class _File(NamedTuple):
    path: str
    size: int
    prose: int  # bytes of long triple-quoted strings


def _site_folders() -> list[str]:
    found = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    return [folder for folder in dict.fromkeys(found) if os.path.isdir(folder)]


def _roots() -> dict[str, list[str]]:
    """Import name -> its folders; the core's first, then every other package by name."""
    found: dict[str, list[str]] = {STDLIB: [sysconfig.get_path("stdlib")]}
    for folder in _site_folders():
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.isidentifier() and name not in _SKIPPED and os.path.isdir(path):
                found.setdefault(name, []).append(path)
    names = [name for name in _CORE if name in found]
    return {name: found[name] for name in [*names, *sorted(set(found) - set(names))]}


def _files(roots: list[str]) -> Iterator[str]:
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(set(folders) - _SKIPPED)
            yield from (os.path.join(folder, n) for n in sorted(names) if n.endswith(".py"))


def _chosen(packages: tuple[str, ...]) -> dict[str, list[str]]:
    roots = _roots()
    return {name: roots.get(name, []) for name in packages} if packages else roots


@functools.lru_cache(maxsize=256)
def _rich_files(roots: tuple[str, ...]) -> tuple[_File, ...]:
    """The files of a package whose docstrings are worth parsing them for."""
    found = []
    for path in _files(list(roots)):
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError:
            continue
        if path.endswith(_TOPICS):
            found.append(_File(path, len(source), len(source)))
            continue
        lengths = map(len, _BLOCK.findall(source))
        prose = sum(length for length in lengths if _LEAST_BLOCK <= length <= _MOST_BLOCK)
        if prose >= max(_LEAST_FILE, _LEAST_SHARE * len(source)):
            found.append(_File(path, len(source), prose))
    return tuple(found)


def groups(packages: tuple[str, ...], maximum_bytes: int) -> list[Group]:
    """The shards: the files richest in prose that together hold about `maximum_bytes` of it, in the
    order of packages and paths, cut into groups of similar work. The groups' own bounds add up to
    `maximum_bytes`."""
    wanted = maximum_bytes / _PROSE_SHARE
    candidates: dict[str, list[_File]] = {}
    held = 0
    for name, roots in _chosen(packages).items():
        # Of more than the core, only as many packages are looked through as are needed.
        if not packages and name not in _CORE and held >= wanted:
            break
        candidates[name] = list(_rich_files(tuple(roots)))
        held += sum(file.prose for file in candidates[name])
    ranked = sorted(
        (file for found in candidates.values() for file in found),
        key=lambda file: (-file.prose / file.size, file.path),
    )
    taken, held = set(), 0
    for file in ranked:
        if held >= wanted:
            break
        taken.add(file.path)
        held += file.prose
    cut: list[tuple[str, list[_File]]] = []
    for name, found in candidates.items():
        members: list[_File] = []
        for file in found:
            if file.path in taken:
                members.append(file)
                if sum(member.prose for member in members) >= _GROUP_BYTES:
                    cut.append((name, members))
                    members = []
        if members:
            cut.append((name, members))
    return [
        Group(
            name,
            tuple(member.path for member in members),
            -(-maximum_bytes * sum(member.prose for member in members) // held),
        )
        for name, members in cut
    ]


def identity(packages: tuple[str, ...]) -> list:
    """What the text depends on: Python's version, and the names and sizes of all files."""
    content = [
        [name, root.rsplit(os.sep, 1)[-1], [[path[len(root) :], os.path.getsize(path)]]]
        for name, roots in _chosen(packages).items()
        for root in roots
        for path in _files([root])
    ]
    return [FILTER_VERSION, list(sys.version_info[:3]), content]


def texts(members: tuple[str, ...], maximum_bytes: int) -> Iterator[str]:
    """The prose of some files as documents, up to `maximum_bytes` of UTF-8."""
    seen: set[str] = set()
    left = maximum_bytes
    for path in members:
        document: list[str] = []
        characters = 0
        for docstring in (*_docstrings(path), None):
            if document and (docstring is None or characters >= _DOCUMENT_CHARACTERS):
                text = "\n\n".join(document)
                left -= len(text.encode())
                if left < 0:
                    return
                yield text
                document, characters = [], 0
            if docstring is not None:
                text = _prose(docstring, seen)
                if text:
                    document.append(text)
                    characters += len(text)


def _docstrings(path: str) -> Iterator[str]:
    """The docstrings of a file in their order, and other long strings that are assigned or handed
    to a call, alone or in a dict or tuple: pydoc's topics, NumPy's add_newdoc, SciPy's templates."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's files
            tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                match node.body:
                    case [ast.Expr(value=ast.Constant(value=str(text))), *_]:
                        yield text
                pending.extend(reversed(node.body))
            case ast.If() | ast.Try() | ast.With():
                pending.extend(reversed(node.body))
            case ast.Assign(value=value) | ast.Expr(value=ast.Call() as value):
                pending.append(value)
            case ast.Call(args=arguments, keywords=keywords):
                pending.extend(keyword.value for keyword in reversed(keywords))
                pending.extend(reversed(arguments))
            case ast.Dict(values=values) | ast.Tuple(elts=values):
                pending.extend(reversed(values))
            case ast.Constant(value=str(text)) if len(text) >= _LEAST_BLOCK:
                yield text


def _prose(docstring: str, seen: set[str]) -> str:
    """The paragraphs of a docstring that read like English and were not `seen`."""
    text = _RULE.sub("", inspect.cleandoc(docstring))
    kept = []
    for paragraph in _BREAK.split(text):
        paragraph = paragraph.split(">>>", 1)[0].strip()
        if _is_prose(paragraph) and paragraph not in seen:
            seen.add(paragraph)
            kept.append(paragraph)
    return "\n\n".join(kept)


def _is_prose(paragraph: str) -> bool:
    """Whether most of a paragraph is words, and some of them are ones that English cannot do
    without: this leaves out code, tables, formulas and lists of names."""
    words = _WORD.findall(paragraph)
    if len(words) < 6 or "::\n" in paragraph:
        return False
    common = sum(word.lower() in _COMMON for word in words)
    visible = sum(map(len, paragraph.split()))
    return common >= 0.1 * len(words) and sum(map(len, words)) >= 0.75 * visible
