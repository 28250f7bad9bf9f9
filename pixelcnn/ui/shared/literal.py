"""Text that is not ours on its way to the screen: shown as it is, never interpreted.

Names of files, classes, runs and checkpoints, what a link says, and messages that quote them pass
through here wherever Streamlit reads Markdown, or Plotly its markup. Knows no Streamlit.
"""

import re
from collections.abc import Iterable, Sequence

from pixelcnn.files import printable

JOINER = "\u2060"
"""Without width. Some markup is found after Markdown is read, where no backslash helps; a joiner
within breaks it up."""
_HIDDEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")
_FOUND_LATER = re.compile(
    r"(?::|@|www)(?=\S)"  # :red[x], :smile:, :material/icon:, http://x, a@b.c
    r"|(?<!\S)[<>~-](?=[->=]+(?!\S))"  # -> and the like
    r"|^(?=[-+](?:\s|$)|[-=]+$|\d+[.)](?:\s|$))",  # lists and lines
    re.IGNORECASE,
)
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#$~|!&]")


def literal(text: object) -> str:
    r"""Write text so that Streamlit's Markdown shows just that, in one line.

    >>> literal("*a* [b](c) <d>")
    '\\*a\\* \\[b\\](c) \\<d\\>'
    >>> literal("T-shirt/top, 3: 4")
    'T-shirt/top, 3: 4'
    """
    return _MARKDOWN.sub(r"\\\g<0>", _FOUND_LATER.sub(rf"\g<0>{JOINER}", _line(text)))


def code(text: object) -> str:
    """Write text as code within Markdown.

    >>> code("a `b`"), code("c")
    ('`` a `b` ``', '`c`')
    """
    line = _line(text).replace(":material/", f":{JOINER}material/")
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    gap = " " if "`" in line else ""
    return f"{fence}{gap}{line}{gap}{fence}"


def in_chart(text: object) -> str:
    """Write text so that Plotly shows just that, in one line: it reads some HTML, and formats.

    >>> in_chart("<b>a</b> %{y}").replace(JOINER, "")
    '&lt;b>a&lt;/b> %{y}'
    """
    line = _line(text).replace("&", "&amp;").replace("<", "&lt;")
    return line.replace("%{", f"%{JOINER}{{").replace("$", f"{JOINER}$")


def _line(text: object) -> str:
    return " ".join(_HIDDEN.sub("\ufffd", printable(str(text))).split())


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; its cells are Markdown.

    >>> print(markdown_table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    first, *rest = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join([first, f"|{'---|' * len(head)}", *rest])
