"""Results back into the PACS: DICOM reports and captures of predictions, and a node that answers studies."""

from importlib.util import find_spec

from medmamba_monai.core.errors import UserError

if find_spec("highdicom") is None:
    raise UserError("DICOM reports need highdicom, which is missing: pip install 'medmamba-monai[hospital]'")

from medmamba_monai.hospital.answer import answer_study

__all__ = ["answer_study"]
