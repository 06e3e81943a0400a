"""Generated blocks in a text that people write: what stands between two comments of Markdown."""

from __future__ import annotations

from medmamba_monai.core.errors import UserError


def block_markers(name: str) -> tuple[str, str]:
    """Return the lines before and after a block.

    Example:
        >>> block_markers("speed")
        ('<!-- speed -->', '<!-- /speed -->')
    """
    return f"<!-- {name} -->", f"<!-- /{name} -->"


def find_block(text: str, name: str) -> str | None:
    """Return what stands between the markers of a block, None if they are not there."""
    begin, end = block_markers(name)
    if begin not in text or end not in text:
        return None
    return text.partition(begin)[2].partition(end)[0].strip("\n")


def replace_block(text: str, name: str, block: str, file: str = "the text") -> str:
    """Return a text with a new block between its markers; the rest stays as it is.

    Args:
        text: the whole text, in Markdown.
        name: the name of the block.
        block: what stands there from now on.
        file: what an error calls the text.

    Raises:
        UserError: the text has no such markers.
    """
    begin, end = block_markers(name)
    if find_block(text, name) is None:
        raise UserError(f"{file} has no lines {begin} and {end}: put them where the block belongs")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{block}\n{end}{rest.partition(end)[2]}"
