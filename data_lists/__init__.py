"""The cards of the datasets; installed inside the package as ``medmamba_monai.data_lists``."""
