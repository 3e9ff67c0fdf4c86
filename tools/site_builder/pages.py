"""Pages that are written from the package: the glossary, the public names, and the table of contents.

The public names are read from the source and not imported: that would load torch, which takes longer than the rest.
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path

from tools.site_builder import links, terms
from tools.site_builder.links import is_chinese

WRITTEN = ("glossary", "names")
FIRST_GUIDES = ("docs/teaching.md", "docs/hosted.md")  # the others follow by name
TITLES = {"zh/index": "首页"}  # its own title is the one of the start page
MOST_ARGUMENTS = 6
_Definition = ast.FunctionDef | ast.ClassDef


def contents(names: Sequence[str]) -> str:
    """The table of contents of the whole site, as the start page holds it; hidden there, shown at the side."""
    appendices = [name for name in names if "/appendix/" in name]
    chinese = [name for name in names if is_chinese(name) and name not in appendices]
    chinese.sort(key=lambda name: (name != links.START["README.zh.md"], name))
    lessons = [name for name in names if name.startswith("notebooks/") and name not in (*chinese, *appendices)]
    chinese_appendices = [name for name in appendices if is_chinese(name)]
    appendices = [name for name in appendices if name not in chinese_appendices]
    guides = [name for name in names if name.startswith("docs/") and name not in chinese]
    guides.sort(key=lambda name: (name not in FIRST_GUIDES, name))
    reference = [f"{name}.md" for name in WRITTEN] + ["CHANGELOG.md", "CONTRIBUTING.md"]
    parts = [("Lessons", lessons), ("Appendices", appendices), ("课程", chinese), ("附录", chinese_appendices)]
    parts += [("Guides", guides), ("Reference", reference)]
    return "\n".join(_toctree(caption, pages) for caption, pages in parts if pages)


def written(root: Path) -> dict[str, str]:
    """Name of a page -> its text."""
    return {"glossary.md": glossary_page(), "names.md": names_page(root)}


def _toctree(caption: str, names: Sequence[str]) -> str:
    places = (Path(name).with_suffix("").as_posix() for name in names)
    lines = "\n".join(f"{TITLES[place]} <{place}>" if place in TITLES else place for place in places)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n"


def glossary_page() -> str:
    """All terms in one table: a column for each field that a term has."""
    from motionlab.teaching.glossary import all_terms

    titles = {"english": "term", "chinese": "中文"}
    entries = all_terms()
    columns = [field.name for field in fields(entries[0])]
    head = "".join(f"<th>{titles.get(name, name.replace('_', ' '))}</th>" for name in columns)
    rows = []
    for term in entries:
        cells = "".join(f"<td>{html.escape(_words(getattr(term, name)))}</td>" for name in columns)
        rows.append(f'<tr id="{terms.place(term)}">{cells}</tr>')
    lines = "\n".join(rows)
    return (
        "# Glossary\n\nThe terms of the lessons, English and Chinese. In a notebook: `ml.glossary()`.\n\n"
        f'<div class="site-wide"><table class="table">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n'
        "</tbody></table></div>\n"
    )


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def names_page(root: Path) -> str:
    """The public names by the part of the package that defines them, each with its call and its first sentence."""
    import motionlab

    parts: dict[str, list[str]] = {}
    for name, module in motionlab._EXPORTS.items():  # in the order of the floors
        found = definition(root, module, name)
        call, doc = (call_of(found), first_sentence(ast.get_docstring(found))) if found else ("", "")
        entry = f'<dt id="{name}"><code>ml.{name}{html.escape(call)}</code></dt><dd>{_code(doc)}</dd>'
        parts.setdefault(module.split(".")[1], []).append(entry)
    sections = (
        f'## {part}\n\n<dl class="site-names">\n{chr(10).join(entries)}\n</dl>' for part, entries in parts.items()
    )
    return (
        "# Public names\n\nThe names that `import motionlab as ml` gives. They do not change within a major version. "
        "`help(ml.NAME)` has shapes, units, errors and examples.\n\n" + "\n\n".join(sections) + "\n"
    )


def _code(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))


def definition(root: Path, module: str, name: str) -> _Definition | None:
    """The class or function behind a public name, followed through re-exports; None for a constant."""
    tree = _tree(root, module)
    for node in tree.body:
        if isinstance(node, _Definition) and node.name == name:
            return node
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and name in {alias.asname or alias.name for alias in node.names}
        ):
            return definition(root, node.module, name) if node.module.startswith("motionlab.") else None
    return None


@cache
def _tree(root: Path, module: str) -> ast.Module:
    path = root / Path(*module.split("."))
    file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    return ast.parse(file.read_text(encoding="utf-8"))


def call_of(found: _Definition) -> str:
    """The names of its arguments in brackets; of a dataclass, its fields.

    >>> call_of(ast.parse("def f(a, b=1, *, c): ...").body[0])
    '(a, b, c)'
    """
    names: list[str] = []
    if isinstance(found, ast.FunctionDef):
        names = [argument.arg for argument in (*found.args.args, *found.args.kwonlyargs)]
    else:
        inits = [node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
        if inits:
            names = [argument.arg for argument in (*inits[0].args.args[1:], *inits[0].args.kwonlyargs)]
        elif any("dataclass" in ast.unparse(decorator) for decorator in found.decorator_list):
            names = [
                node.target.id
                for node in found.body
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            ]
        else:
            return ""
    return f"({', '.join(names[:MOST_ARGUMENTS])}{', ...' if len(names) > MOST_ARGUMENTS else ''})"


def first_sentence(doc: str | None) -> str:
    """
    >>> first_sentence("Read a file: fast. It may be\\nlarge.\\n\\nArgs: path")
    'Read a file: fast.'
    """
    paragraph = " ".join((doc or "").strip().split("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) ", paragraph)[0]
