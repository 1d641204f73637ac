"""Lists as people type them."""

import pytest

from cxr_runner.base.lists import read_list


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[view, sex]", ("view", "sex")),
        ("view,sex", ("view", "sex")),
        ("view", ("view",)),
        ("[View Position,,]", ("View Position",)),
        ("[]", ()),
        ("", ()),
        ("[view", ("[view",)),
    ],
)
def test_a_list_is_what_stands_between_commas(text: str, items: tuple[str, ...]) -> None:
    assert read_list(text) == items
