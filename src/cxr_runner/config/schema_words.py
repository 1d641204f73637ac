"""What a schema asks of a value, in words: of configurations and of study files."""

from pydantic_core import ErrorDetails

_MESSAGES = {  # by the type that pydantic gives an error
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "int_type": "must be a whole number",
    "less_than": "must be below {lt:.12g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "valid are {expected}",
    "missing": "needs a value",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
}


def say_valid(error: ErrorDetails) -> str:
    """Return what would have been valid, as a phrase."""
    template = _MESSAGES.get(error["type"])
    return template.format(**error.get("ctx", {})) if template else error["msg"]
