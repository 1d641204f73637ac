"""Lists as people type them."""


def read_list(text: str) -> tuple[str, ...]:
    """Return the texts between commas, with or without brackets around all of them; empty ones do not count."""
    inside = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return tuple(item for part in inside.split(",") if (item := part.strip()))
