"""The browser's half of the components: files beside the modules.

JavaScript files are modules with `export function`, `const` or `class` before a name, `import`
lines with relative paths, and nothing else of the kind. Components v2 takes a single script:
`bundle` puts each module into a function of its own, so that they share no names.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

FOLDER = Path(__file__).parents[1]
_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]*)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) (\w+)\b)", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)


def read(*names: str) -> str:
    """Join files, such as style sheets in the order in which they apply."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def component(folder: str, *styles: str) -> Callable[..., Any]:
    """Declare the component in a folder: the files NAME.html, NAME.css and NAME.js of NAME/.

    Arguments:
        folder: below `pixelcnn/ui`.
        styles: style sheets of `browser/` that it needs besides `base.css`.
    """
    name = Path(folder).name
    return st.components.v2.component(
        f"pixelcnn_{name}",
        html=read(f"{folder}/{name}.html"),
        css=read(*(f"browser/{style}.css" for style in ("base", *styles)), f"{folder}/{name}.css"),
        js=bundle(f"{folder}/{name}.js"),
    )


def bundle(entry: str) -> str:
    """Make one script of a module and all that it imports.

    Arguments:
        entry: path below `pixelcnn/ui` of the module whose default export is the script's.

    Raises:
        ValueError: if a module imports an unknown name, imports itself by a circle, or has an
            import or export of another form.
    """
    exports: dict[Path, list[str]] = {}  # of the modules that are written, in order
    parts: list[str] = []
    _add((FOLDER / entry).resolve(), (), exports, parts)
    return "\n".join([*parts, f"export default module{len(parts) - 1}.byDefault;", ""])


def _add(
    path: Path, importers: tuple[Path, ...], exports: dict[Path, list[str]], parts: list[str]
) -> None:
    """Write what a module imports, then the module, unless they are written."""
    if path in importers:
        circle = " > ".join(p.name for p in (*importers[importers.index(path) :], path))
        raise ValueError(f"modules import each other in a circle: {circle}.")
    if path in exports:
        return
    source = path.read_text(encoding="utf-8")

    def take(match: re.Match[str]) -> str:
        other = (path.parent / match[2]).resolve()
        _add(other, (*importers, path), exports, parts)
        names = [name.strip().split(" as ") for name in match[1].split(",") if name.strip()]
        for name, *_ in names:
            if name not in exports[other]:
                raise ValueError(
                    f"{path.name} imports `{name}` from {other.name}, which exports "
                    f"{', '.join(exports[other])}."
                )
        module = f"module{list(exports).index(other)}"
        return f"const {{ {', '.join(': '.join(name) for name in names)} }} = {module};"

    names = _EXPORT.findall(source)
    source = _EXPORT.sub("", _IMPORT.sub(take, source))
    source, count = re.subn(r"^export default ", "const byDefault = ", source, flags=re.MULTILINE)
    if other := _OTHER.search(source):
        raise ValueError(f"{path.name} has `{other[0]}`, a form that is not read here.")
    exports[path] = names + ["byDefault"] * count
    inside = f"{source}\nreturn {{ {', '.join(exports[path])} }};"
    parts.append(f"const module{len(parts)} = (() => {{\n{inside}\n}})();")
