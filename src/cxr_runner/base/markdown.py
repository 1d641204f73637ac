"""Markdown that shows any text as it is."""

import re
from collections.abc import Iterable, Mapping, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[bool]) -> str:
    """Return a table.

    Args:
        header: headings of the columns, any text.
        rows: cells, any text.
        numeric: whether each column holds numbers, which are right-aligned.
    """
    rule = ["---:" if right else "---" for right in numeric]
    lines = [[*map(markdown_text, header)], rule, *([markdown_text(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def markdown_text(text: str) -> str:
    """Return a text, on one line, with everything escaped that Markdown or HTML would interpret."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Markdown takes an underscore inside a word as it is: escaping it would only be hard to read.
    return re.sub(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)


def markdown_facts(facts: Mapping[str, str]) -> str:
    """Return a list of terms and their texts; a text of several lines becomes a list below its term."""
    items = []
    for term, text in facts.items():
        lines = [markdown_text(line) for line in text.splitlines()]
        items += [f"- {term}: {lines[0]}"] if len(lines) == 1 else [f"- {term}:", *(f"  - {line}" for line in lines)]
    return "\n".join(items)


def markdown_list(texts: Iterable[str]) -> str:
    """Return a list of texts, each on one line; '' for none."""
    return "\n".join(f"- {markdown_text(text)}" for text in texts)


def printable(value: object) -> str:
    """Return a value as text on one line, without characters that no terminal or file should be sent."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def sentence(text: str) -> str:
    """Return a text with a full stop behind it, unless it ends with one or with another end of a sentence."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
