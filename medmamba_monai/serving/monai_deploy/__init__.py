"""A package as an application folder of MONAI Deploy: a study goes in, the DICOM files that answer it come out."""

from medmamba_monai.serving.monai_deploy.write import write_monai_deploy

__all__ = ["write_monai_deploy"]
