from __future__ import annotations

import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.cross_validation.choices import bind_images_choice, keep_images_choice


@pytest.mark.parametrize(
    ("told", "asked", "shown"),
    [
        ([], None, None),
        ([], True, True),
        ([], False, False),
        ([None], True, True),
        ([True], None, True),
        ([True], False, False),
        ([False], None, False),
        ([False], False, False),
        ([False, None], None, False),
        ([True, None, None], None, True),
        ([False, True], None, True),
    ],
)
def test_what_a_cross_validation_was_told_about_images_holds_later(tmp_path, told, asked, shown):
    folder = RunFolder(tmp_path)
    for choice in told:
        keep_images_choice(folder, choice)
    assert bind_images_choice(folder, asked) is shown


def test_a_review_cannot_show_what_the_cross_validation_is_not_to_show(tmp_path):
    keep_images_choice(RunFolder(tmp_path), False)
    with pytest.raises(UserError, match=r"was made with --report_images False.*--report_images True"):
        bind_images_choice(RunFolder(tmp_path), True)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"report_images": "no"}', '{"report_images": 1.5}'])
def test_a_damaged_choice_is_no_choice_for_images(tmp_path, content):
    (tmp_path / "choices.json").write_text(content)
    with pytest.raises(UserError, match=r"choices\.json is damaged"):
        bind_images_choice(RunFolder(tmp_path), None)
