"""What became of a study: the ``record.json`` beside its images. It names instances, and nobody."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """One object of an answer, with what sending it needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    sop_class: str
    sop_instance: str
    transfer_syntax: str


class Record(BaseModel):
    """What became of the images of a study that were received together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str
    number: int
    outcome: Literal["answered", "failed"]
    reason: str = ""
    images: dict[str, str]
    """Series Instance UID by SOP Instance UID."""
    answer: tuple[Answer, ...] = ()
    seconds: float = 0.0
    ended: str
    in_folder: bool = False
    """Whether the answer is in the folder for answers."""
