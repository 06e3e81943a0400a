"""Which files are DICOM, by their first bytes and never by their name."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import VR

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima", ".dc3", ".acr")
HEAD_BYTES = 352
"""How much of a file's start is enough to tell."""

_VRS = {vr.value.encode() for vr in VR if len(vr.value) == 2}
_MAX_FIRST_LENGTH = 256
"""Of the first attribute of a file without VRs; longer than any that files begin with."""
_GROUP_LENGTH = 0


def is_dicom(head: bytes) -> bool:
    """Return whether a file that starts with these bytes is DICOM, with or without the 128 bytes before "DICM"."""
    return head[128:132] == b"DICM" or read_bare_syntax(head) is not None


def looks_like_dicom(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as DICOM does, with or without "DICM" at byte 128.

    False for a DICOMDIR, which has no pixels, for folders, and for what is missing or may not be read.
    """
    path = Path(path)
    try:
        return path.is_file() and path.name.lower() != "dicomdir" and is_dicom(_read_head(path))
    except OSError:
        return False


def read_bare_syntax(head: bytes) -> UID | None:
    """Return the encoding of a file without a preamble.

    Args:
        head: its first bytes.

    Returns:
        An empty UID where its first attribute is of the group that tells the encoding; None where this is no DICOM.
    """
    if len(head) < 16:
        return None
    vr = head[4:6]
    if head[:2] == b"\x02\0" and vr in _VRS:
        return UID("") if _is_known(head, "<", vr) else None
    if head[:2] == b"\0\x08" and vr in _VRS:
        return ExplicitVRBigEndian if _is_known(head, ">", vr) else None
    if head[:2] != b"\x08\0":
        return None
    if vr in _VRS:
        return ExplicitVRLittleEndian if _is_known(head, "<", vr) else None
    (length,) = struct.unpack("<I", head[4:8])
    return ImplicitVRLittleEndian if length < _MAX_FIRST_LENGTH and _is_known(head, "<", None) else None


def _is_known(head: bytes, order: str, vr: bytes | None) -> bool:
    """Return whether a file begins with an attribute of DICOM's dictionary, written with its VR or without any."""
    group, element = struct.unpack(order + "HH", head[:4])
    if element == _GROUP_LENGTH:
        return vr in (None, b"UL")
    tag = group << 16 | element
    return dictionary_has_tag(tag) and (vr is None or vr.decode() in dictionary_VR(tag))


def _read_head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)
