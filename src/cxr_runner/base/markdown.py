"""Any text, shown by Markdown as it is."""

import re
from collections.abc import Iterable, Mapping, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[bool]) -> str:
    """Return a table.

    Args:
        header: the titles of the columns.
        rows: cells of any text.
        numeric: of every column whether it holds numbers, which are right-aligned.
    """
    rule = ["---:" if right else "---" for right in numeric]
    lines = [list(header), rule, *([markdown_text(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def markdown_text(text: str) -> str:
    """Return a text, on one line, with everything escaped that Markdown or HTML would interpret."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An underscore inside a word is plain in Markdown; escaped, it would only be hard to read.
    return re.sub(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)


def markdown_facts(facts: Mapping[str, str]) -> str:
    """Return a list of terms and what is said of each; of several lines, as a list below the term."""
    lines = []
    for term, said in facts.items():
        several = [markdown_text(line) for line in said.splitlines()]
        lines += [f"- {term}: {several[0]}"] if len(several) == 1 else [f"- {term}:", *(f"  - {s}" for s in several)]
    return "\n".join(lines)


def printable(value: object) -> str:
    """Return a text on one line, without characters that no terminal or file should be sent."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
