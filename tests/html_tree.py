"""HTML read back by Python's own parser, as a tree; what is not closed properly is an error."""

import dataclasses
from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"meta", "input", "path", "br"}


@dataclasses.dataclass
class Node:
    tag: str
    attributes: dict[str, str | None]
    children: list["Node | str"] = dataclasses.field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    @property
    def classes(self) -> list[str]:
        return (self.attributes.get("class") or "").split()

    def all(self, tag: str = "", of: str = "") -> list["Node"]:
        """Every node inside of that tag and that class, in document order."""
        return [
            n for n in self._inside() if (not tag or n.tag == tag) and (not of or of in n.classes)
        ]

    def one(self, tag: str = "", of: str = "") -> "Node":
        (found,) = self.all(tag, of)
        return found

    def _inside(self) -> Iterator["Node"]:
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child._inside()


class _Builder(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self._open = [self.root]

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        node = Node(tag, dict(attrs))
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_startendtag(self, tag, attrs):
        self._open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self._open[-1].children.append(data)


def parsed(text: str) -> Node:
    """Returns the root of the document; every element in it was closed."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    assert builder._open == [builder.root]
    return builder.root
