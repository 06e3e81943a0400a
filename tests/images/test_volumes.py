"""NRRD and MetaImage as ITK, pynrrd and others write them, and FreeSurfer's volumes."""

from __future__ import annotations

import bz2
import gzip
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest

from medmamba_monai.core.errors import UserError
from medmamba_monai.images.companions import list_companions
from medmamba_monai.images.formats import find_format, is_image_file
from medmamba_monai.images.kinds import count_frames, read_raw
from medmamba_monai.images.raw_image import Frame, Limits, RawImage

ITK = Path(__file__).parent / "written_by_itk"
VALUES = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
META = "NDims = 3\nDimSize = 4 3 2\nElementType = MET_SHORT\n"
NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 3 2\nendian: little\n"
SPACE = "space: RAS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"


def read(path: Path, spatial_dims: int = 3, frame: Frame = None, limits: Limits | None = None) -> RawImage:
    return read_raw(path, spatial_dims, frame, limits or Limits())


@pytest.mark.parametrize(
    "name", [f"{kind}.{end}" for kind in ("turned", "packed") for end in ("mha", "mhd", "nrrd", "nhdr")]
)
def test_a_volume_of_itk_is_the_same_in_every_format(name: str) -> None:
    raw, expected = read(ITK / name), read(ITK / "turned.nii")
    np.testing.assert_array_equal(raw.values, expected.values)
    assert raw.values.dtype == np.int16
    assert (raw.format, raw.nominal, raw.has_default) == (find_format(ITK / name), (-32768, 32767), False)


@pytest.mark.parametrize("end", ["mha", "nrrd"])
def test_flat_images_of_itk_are_the_rows_they_were_made_of(end: str) -> None:
    np.testing.assert_array_equal(read(ITK / f"flat.{end}", 2).values, np.arange(6).reshape(2, 3) * 1000)
    color = read(ITK / f"color.{end}", 2)
    np.testing.assert_array_equal(color.values, np.arange(18).reshape(2, 3, 3) * 10)
    assert color.color
    with pytest.raises(UserError, match=r"is flat \(3 x 2\), but 3 dimensions are declared"):
        read(ITK / f"flat.{end}", 3)


def test_frames_of_a_meta_image() -> None:
    stored = np.arange(48).reshape(2, 2, 3, 4)
    assert count_frames(ITK / "four.mha") == 2
    np.testing.assert_array_equal(read(ITK / "four.mha", frame=1).values[::-1, ::-1], stored[1].T)
    with pytest.raises(UserError, match=r"has the axes domain, domain, domain, domain of lengths \(4, 3, 2, 2\)"):
        read(ITK / "four.nrrd", frame=1)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize("kind", ["<i2", ">i2", "<u1", "<f4", ">f8", "<u4", "<i8"])
def test_what_pynrrd_writes(tmp_path: Path, encoding: str, kind: str) -> None:
    header = {"encoding": encoding, "space": "RAS", "space directions": np.diag([-1.0, 1, 2])}
    nrrd.write(str(tmp_path / "a.nrrd"), VALUES.astype(kind), header)
    raw = read(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(raw.values, VALUES[::-1])
    assert raw.values.dtype == np.dtype(kind).newbyteorder("=")


@pytest.mark.parametrize(("space", "signs"), [("RAS", (1, 1)), ("left-posterior-superior", (-1, -1)), ("LAS", (-1, 1))])
def test_spaces_of_nrrd(tmp_path: Path, space: str, signs: tuple[int, int]) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), VALUES, {"space": space, "space directions": np.eye(3)})
    np.testing.assert_array_equal(read(tmp_path / "a.nrrd").values, VALUES[:: signs[0], :: signs[1]])


def test_opacity_and_frames_of_nrrd(tmp_path: Path) -> None:
    colors = np.arange(48, dtype=np.uint8).reshape(4, 3, 2, 2)
    fields = {"kinds": ["RGBA-color", "domain", "domain", "list"]}
    nrrd.write(str(tmp_path / "a.nrrd"), colors, fields)
    raw = read(tmp_path / "a.nrrd", 2, 1)
    np.testing.assert_array_equal(raw.values, colors[:3, ..., 1].transpose(2, 1, 0))
    np.testing.assert_allclose(raw.alpha, colors[3, ..., 1].T / 255)
    assert count_frames(tmp_path / "a.nrrd") == 2


@pytest.mark.parametrize(("order", "packed"), [("False", False), ("True", False), ("True", True)])
def test_byte_order_and_packing_of_a_meta_image(tmp_path: Path, order: str, packed: bool) -> None:
    content = VALUES.astype(">i2" if order == "True" else "<i2").tobytes(order="F")
    head = f"{META}ElementByteOrderMSB = {order}\nCompressedData = {packed}\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(head.encode() + (zlib.compress(content) if packed else content))
    np.testing.assert_array_equal(read(tmp_path / "a.mha").values[::-1, ::-1], VALUES)


def test_values_at_the_end_of_a_file_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"a header of its own" + VALUES.tobytes(order="F"))
    (tmp_path / "a.mhd").write_text(f"{META}HeaderSize = -1\nElementDataFile = a.raw\n")
    (tmp_path / "a.nhdr").write_text(f"{NRRD}{SPACE}encoding: raw\nbyte skip: -1\ndata file: ./a.raw\n")
    np.testing.assert_array_equal(read(tmp_path / "a.mhd").values[::-1, ::-1], VALUES)
    np.testing.assert_array_equal(read(tmp_path / "a.nhdr").values, VALUES)


def test_words_are_values(tmp_path: Path) -> None:
    words = " ".join(str(value) for value in VALUES.ravel("F"))
    (tmp_path / "a.mha").write_text(f"{META}BinaryData = False\nElementDataFile = LOCAL\n{words}\n")
    np.testing.assert_array_equal(read(tmp_path / "a.mha").values[::-1, ::-1], VALUES)


@pytest.mark.parametrize("suffix", [".mgh", ".mgz"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32])
def test_volumes_of_freesurfer(tmp_path: Path, suffix: str, kind: type) -> None:
    affine = nibabel.affines.from_matvec([[0, 0, 1], [-1, 0, 0], [0, -2, 0]], [1, 2, 3])
    nibabel.save(nibabel.MGHImage(VALUES.astype(kind), affine), tmp_path / f"a{suffix}")
    nibabel.save(nibabel.Nifti1Image(VALUES, affine), tmp_path / "a.nii")
    raw = read(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(raw.values, read(tmp_path / "a.nii").values)
    assert (raw.values.dtype, raw.format, count_frames(tmp_path / f"a{suffix}")) == (np.dtype(kind), "MGH", 1)


def test_frames_and_slices_of_freesurfer(tmp_path: Path) -> None:
    stored = np.arange(24, dtype=np.float32).reshape(4, 3, 1, 2)
    nibabel.save(nibabel.MGHImage(stored, np.eye(4)), tmp_path / "a.mgz")
    assert count_frames(tmp_path / "a.mgz") == 2
    np.testing.assert_array_equal(read(tmp_path / "a.mgz", 2, 1).values, stored[::-1, ::-1, 0, 1].T)


REFUSED: dict[str, tuple[str, str, str]] = {
    "elsewhere": ("a.mhd", f"{META}ElementDataFile = ../secret.raw\n", "is not beside it"),
    "absolute": ("a.nhdr", f"{NRRD}encoding: raw\ndata file: /etc/passwd\n", "is not beside it"),
    "missing": ("a.mhd", f"{META}ElementDataFile = a.raw\n", "a.raw: does not exist"),
    "list": ("a.mhd", f"{META}ElementDataFile = LIST\n", "several files"),
    "pattern": ("a.nhdr", f"{NRRD}encoding: raw\ndata file: a%d.raw 1 3 1\n", "several files"),
    "short": ("a.mha", f"{META}ElementDataFile = LOCAL\nxxx", "its values end early"),
    "cut": ("a.mha", f"{META}", "has no ElementDataFile"),
    "no direction": ("a.nrrd", f"{NRRD}encoding: raw\n\n" + "x" * 48, "does not tell its orientation"),
    "no place": (
        "a.nrrd",
        NRRD + SPACE.replace("(0,1,0)", "(1,0,0)") + "encoding: raw\n\n" + "x" * 48,
        "maps voxels to no place",
    ),
    "block": ("a.nrrd", NRRD.replace("short", "block") + "encoding: raw\n\n", "type 'block'"),
    "hex": ("a.nrrd", f"{NRRD}encoding: hex\n\n", "encoding 'hex'"),
    "no order": ("a.nrrd", NRRD.replace("endian: little\n", SPACE) + "encoding: raw\n\n" + "x" * 48, "no endian"),
    "two channels": (
        "a.mha",
        META.replace("SHORT", "UCHAR") + "ElementNumberOfChannels = 2\nElementDataFile = LOCAL\n" + "x" * 48,
        "has 2 values of uint8 a pixel, which are no colors",
    ),
    "field": (
        "a.mha",
        META.replace("SHORT", "FLOAT") + "ElementNumberOfChannels = 3\nElementDataFile = LOCAL\n" + "x" * 288,
        "has 3 values of float32 a pixel",
    ),
    "scale": ("a.mha", f"{META}ElementToIntensityFunctionSlope = 2\nElementDataFile = LOCAL\n", "remove it"),
    "too large": ("a.mha", META.replace("4 3 2", "99999 99999 2") + "ElementDataFile = LOCAL\n", "too large to decode"),
    "odd sizes": ("a.mha", META.replace("4 3 2", "4 3") + "ElementDataFile = LOCAL\n", "is damaged"),
    "bad number": ("a.nrrd", NRRD.replace("4 3 2", "4 x 2") + "encoding: raw\n\n", "is damaged"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_told(tmp_path: Path, case: str) -> None:
    name, content, said = REFUSED[case]
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_small_files_that_expand_are_bounded_by_their_header(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if pack is gzip.compress else "bzip2"
    (tmp_path / "a.nrrd").write_bytes(f"{NRRD}{SPACE}encoding: {encoding}\n\n".encode() + pack(bytes(2**25)))
    with pytest.raises(UserError, match="bytes and more, which its header does not tell"):
        read(tmp_path / "a.nrrd")


def test_damage_anywhere_raises_nothing_but_user_errors(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("packed.mha", "packed.nrrd", "four.mha"):
        whole = (ITK / name).read_bytes()
        for _ in range(100):
            content = bytearray(whole[: generator.integers(9, len(whole) + 1)])
            content[generator.integers(8, len(content))] ^= 1 << generator.integers(8)
            (tmp_path / name).write_bytes(content)
            try:
                read(tmp_path / name, 3, "first")
            except UserError as error:
                said = str(error)
                if str(tmp_path) not in said:
                    pytest.fail(said)


@pytest.mark.parametrize(("name", "values"), [("turned.mhd", "turned.raw"), ("packed.nhdr", "packed.raw.gz")])
def test_values_beside_a_header_belong_to_it(tmp_path: Path, name: str, values: str) -> None:
    for file in (name, values):
        shutil.copy(ITK / file, tmp_path / file)
    assert list_companions(tmp_path / name) == (tmp_path / values,)
    assert not is_image_file(tmp_path / values)
    (tmp_path / values).unlink()
    assert list_companions(tmp_path / name) == ()


def test_analyze_is_named_and_what_to_do_with_it(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(VALUES, np.eye(4)), tmp_path / "a.img")
    for name in ("a.img", "a.hdr"):
        with pytest.raises(UserError, match=r"is an Analyze 7\.5 image, which does not tell left from right; convert"):
            read(tmp_path / name)
