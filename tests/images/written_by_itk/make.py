"""Writer of the files in this folder, by SimpleITK 2.5.7: ``pip install SimpleITK`` and run it here."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk


def make(values: np.ndarray, vectors: bool = False) -> sitk.Image:
    return sitk.GetImageFromArray(values, isVector=vectors)


def main() -> None:
    """Write them."""
    turned = make(np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 5)
    turned.SetSpacing((1, 2, 3))
    turned.SetOrigin((10, -20, 30))
    turned.SetDirection((0, 0, 1, -1, 0, 0, 0, -1, 0))
    for suffix in ("mha", "mhd", "nrrd", "nhdr"):
        sitk.WriteImage(turned, f"turned.{suffix}", False)
        sitk.WriteImage(turned, f"packed.{suffix}", True)
    sitk.WriteImage(turned, "turned.nii")
    for suffix in ("mha", "nrrd"):
        sitk.WriteImage(make(np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10, True), f"color.{suffix}")
        sitk.WriteImage(make(np.arange(6, dtype=np.uint16).reshape(2, 3) * 1000), f"flat.{suffix}")
        sitk.WriteImage(make(np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)), f"four.{suffix}")


if __name__ == "__main__":
    main()
