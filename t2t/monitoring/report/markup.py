"""HTML as a value: text becomes markup only by being escaped, so that no text can break out."""

import html
from collections.abc import Iterable
from typing import Union

VOID = frozenset(("meta", "input", "path", "br"))


class Html(str):
    """Markup. Any other string is text."""


Child = Union[str, "Html", Iterable["Child"]]


def join(*children: Child) -> Html:
    """Puts markup and (escaped) text together."""
    parts = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(html.escape(child, quote=False))
        else:
            parts.append(join(*child))
    return Html("".join(parts))


def element(tag: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """Returns `<tag ...>children</tag>`.

    attributes: `class_` is class, `data_x` is data-x; None and False are left out, True has no value.
    """
    written = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        written += f" {key}" if value is True else f' {key}="{html.escape(str(value))}"'
    if tag in VOID:
        return Html(f"<{tag}{written}>" if tag != "path" else f"<path{written}/>")
    return Html(f"<{tag}{written}>{join(*children)}</{tag}>")
