"""Miniatures of the public datasets in their real layouts: the originals' names, nesting, separators and file modes."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

import numpy as np

from medmamba_monai.cards.card import DatasetCard, load_card
from tests.helpers.miniature_files import draw, litter, pack
from tests.helpers.miniatures_npz import FLAGS, MAPPED, write_npz_miniature

LISTS = Path(__file__).resolve().parents[2] / "data_lists"
PER_CLASS = 7
FETAL_TRAINING_PATIENTS = 7
FETAL_TEST_PATIENTS = 3

_SIZES = ((24, 20), (20, 24), (32, 18), (18, 18), (40, 30))
_PAD_HEADER = (
    "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,skin_cancer_history,"
    "cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,diameter_1,diameter_2,diagnostic,itch,grew,"
    "hurt,changed,bleed,elevation,img_id,biopsed"
)
_PAD_ASKED = (
    "False,True,POMERANIA,GERMANY,67,False,FEMALE,True,False,True,True,2.0,FOREARM,6.0,5.0,{},True,UNK,False,True,"
    "False,True"
)
_PAD_NOT_ASKED = ",,,,52,,,,,,,,FACE,,,{},False,UNK,False,UNK,False,False"
_FETAL_MODES = ("L", "L", "RGBA", "gray RGB", "RGB")
_CPN_ARCHIVE = "Covid19-Pneumonia-Normal Chest X-Ray Images Dataset.zip"


def miniature_card(name: str) -> DatasetCard:
    """The committed card, without the checksums and sizes that only the original files have."""
    card = load_card(LISTS / name / "card.json")
    files = tuple(file.model_copy(update={"md5": None, "bytes": None}) for file in card.files)
    return card.model_copy(update={"files": files})


def write_miniature(card_name: str, folder: Path, seed: int = 0) -> Path:
    """Write the miniature of a card's dataset as the archive unpacks.

    Args:
        card_name: name of a committed card.
        folder: the dataset folder; is made.
        seed: of the images; the same seed gives the same files.

    Returns:
        ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if card_name in FLAGS:
        write_npz_miniature(card_name, folder, seed=seed)
    else:
        _WRITERS[card_name](folder, seed)
    return folder


def _names(card_name: str) -> tuple[str, ...]:
    return load_card(LISTS / card_name / "card.json").class_names


def _pad(folder: Path, seed: int = 0, place: str = "images/{file}") -> None:
    """Patients with one lesion, with two lesions, and with two photographs of one lesion."""
    rows = []
    for index in range(6 * PER_CLASS):
        diagnosis = _names("pad_ufes_20")[index % 6]
        first = index - 6 * (index // 6 == PER_CLASS - 1)  # the last of each class is a patient seen before
        patient, lesion = f"PAT_{100 + first}", 500 + (first if index % 2 else index)
        name = f"{patient}_{lesion}_{(index * 37) % 1000}.png"
        mode = ("RGB", "RGBA", "RGB", "clear RGBA")[index % 4]
        draw(folder / place.format(file=name, part=index % 3 + 1), mode, _SIZES[index % len(_SIZES)], seed)
        biopsied = diagnosis in ("BCC", "MEL", "SCC")
        asked = (_PAD_ASKED if biopsied else _PAD_NOT_ASKED).format(diagnosis).split(",")
        rows.append([patient, str(lesion), *asked, name, str(biopsied)])
    _write_table(folder / "metadata.csv", _PAD_HEADER.split(","), rows)


def _pad_in_zips(folder: Path, keep: bool = False, nested: bool = False) -> None:
    _pad(folder, place="images/imgs_part_{part}/{file}")
    for part in (1, 2, 3):
        archive = folder / "images" / f"imgs_part_{part}.zip"
        pack(archive, folder / "images", [folder / "images" / f"imgs_part_{part}"], remove=not keep)
    if nested:
        pack(folder / "zr7vgbcyr2-1.zip", folder, [folder / "images", folder / "metadata.csv"])


def _fetal(folder: Path, seed: int = 0, root: str = "FETAL_PLANES_ZENODO") -> None:
    """Every patient has one image of each plane, two of 'Other'."""
    home, rows = folder / root, []
    for patient in range(1, FETAL_TRAINING_PATIENTS + FETAL_TEST_PATIENTS + 1):
        training = "1 " if patient <= FETAL_TRAINING_PATIENTS else "0 "
        planes = [*_names("fetal_us"), "Other"]
        for index, plane in enumerate(planes):
            place = f"Plane{min(index, 5) + 1}_{index // 6 + 1}_of_{1 + (plane == 'Other')}"
            name, mode = f"Patient{patient:05d}_{place}", _FETAL_MODES[(patient + index) % 5]
            draw(home / "Images" / f"{name}.png", mode, _SIZES[(patient * index) % len(_SIZES)], seed)
            brain = "Trans-thalamic" if plane == "Fetal brain" else "Not A Brain"
            rows.append([name, str(patient), plane, brain, f"Op. {patient % 3 + 1}", "Voluson E6", training])
    header = ["Image_name", "Patient_num", "Plane", "Brain_plane", "Operator", "US_Machine", "Train "]
    _write_table(home / "FETAL_PLANES_DB_data.csv", header, rows, ";")
    (home / "FETAL_PLANES_DB_data.xlsx").write_bytes(b"PK\3\4 the same table for a spreadsheet")
    (home / "README.md").write_text("# Fetal planes\n", encoding="utf-8")


def _fetal_zip(folder: Path, within: str = ".") -> None:
    _fetal(folder, root=within)
    pack(folder / "FETAL_PLANES_ZENODO.zip", folder, list(folder.iterdir()))


def _kvasir(folder: Path, seed: int = 0, root: str = "kvasir-dataset") -> None:
    for label, name in enumerate(_names("kvasir")):
        for index in range(PER_CLASS):
            file = folder / root / name / f"{UUID(int=label * 2**100 + index * 2**64 + 2**40)}.jpg"
            draw(file, "RGB", _SIZES[(label + index) % len(_SIZES)], seed)


def _kvasir_zip(folder: Path, root: str = "kvasir-dataset") -> None:
    _kvasir(folder, root=root)
    pack(folder / f"{root}.zip", folder, [folder / root])


def _cpn(folder: Path, seed: int = 0, spell: Callable[[str], str] = str, root: str = "") -> None:
    for label, name in enumerate(_names("cpn_xray")):
        for index in range(PER_CLASS):
            mode = ("L", "gray RGB", "RGB")[(label + index) % 3]
            draw(folder / root / spell(name) / f"{name}_{index + 1}.png", mode, (24, 24), seed)


def _cpn_zips(folder: Path) -> None:
    _cpn(folder / "dvntn9yhd2-1")
    pack(folder / "dvntn9yhd2-1" / _CPN_ARCHIVE, folder / "dvntn9yhd2-1", list((folder / "dvntn9yhd2-1").iterdir()))
    pack(folder / "dvntn9yhd2-1.zip", folder, [folder / "dvntn9yhd2-1"])


def _otoscopy(folder: Path, seed: int = 0, spell: Callable[[str], str] = str, root: str = "") -> None:
    for label, name in enumerate(_names("otoscopy2024")):
        for index in range(PER_CLASS):
            suffix = ("jpg", "png")[index % 2]
            draw(folder / root / spell(name) / f"{label}{index:04d}.{suffix}", "RGB", _SIZES[index % 5], seed)


def _cervical(folder: Path, seed: int = 0, table: bool = True, suffix: str = ".png", root: str = "") -> None:
    """Patients with one image or two, always of one class."""
    rows = []
    for label, name in enumerate(_names("cervical_us")):
        for index in range(PER_CLASS + 2):
            file, patient = f"us_{label}{index:03d}", f"P{label}{index % PER_CLASS:02d}"
            draw(folder / root / name / f"{file}.png", ("L", "gray RGB")[index % 2], _SIZES[index % 5], seed)
            rows.append([file + suffix, patient])
    if table:
        _write_table(folder / "patients.csv", ["image", "patient"], rows)


def _littered(write: Callable[[Path], object], place: str, folder: Path) -> None:
    write(folder)
    litter(folder)
    litter(folder / place)


def _write_table(path: Path, header: list[str], rows: list[list[str]], separator: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=separator, lineterminator="\n").writerows([header, *rows])


def _larger_file_too(folder: Path) -> None:
    for size in (28, 64):
        write_npz_miniature("pneumoniamnist", folder, size=size)


def _fetal_with_byte_order_mark(folder: Path) -> None:
    _fetal(folder)
    path = folder / "FETAL_PLANES_ZENODO" / "FETAL_PLANES_DB_data.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


def _pad_twice(folder: Path) -> None:
    _pad(folder)
    shutil.copytree(folder / "images", folder / "copy of images")


_WRITERS: dict[str, Callable[[Path, int], None]] = {
    "pad_ufes_20": _pad,
    "fetal_us": _fetal,
    "kvasir": _kvasir,
    "cpn_xray": _cpn,
    "otoscopy2024": _otoscopy,
    "cervical_us": _cervical,
}

VARIANTS: dict[str, Callable[[Path], object]] = {
    "pad_ufes_20: images in one folder": _pad,
    "pad_ufes_20: parts unpacked": partial(_pad, place="images/imgs_part_{part}/{file}"),
    "pad_ufes_20: parts nested twice": partial(_pad, place="imgs_part_{part}/imgs_part_{part}/{file}"),
    "pad_ufes_20: parts in zips": _pad_in_zips,
    "pad_ufes_20: zips in a zip": partial(_pad_in_zips, nested=True),
    "pad_ufes_20: zips beside what they hold": partial(_pad_in_zips, keep=True),
    "pad_ufes_20: every image twice": _pad_twice,
    "fetal_us: unpacked": _fetal,
    "fetal_us: unpacked into the dataset folder": partial(_fetal, root="."),
    "fetal_us: zip": _fetal_zip,
    "fetal_us: zip with a folder in it": partial(_fetal_zip, within="FETAL_PLANES_ZENODO"),
    "fetal_us: table saved on Windows": _fetal_with_byte_order_mark,
    "kvasir: version 1": _kvasir,
    "kvasir: version 1 zip": _kvasir_zip,
    "kvasir: version 2": partial(_kvasir, root="kvasir-dataset-v2"),
    "kvasir: version 2 zip": partial(_kvasir_zip, root="kvasir-dataset-v2"),
    "cpn_xray: class folders": _cpn,
    "cpn_xray: class folders in other case": partial(_cpn, spell=str.title, root="Chest X-Ray Images"),
    "cpn_xray: zip in a zip": _cpn_zips,
    "cpn_xray: with litter": partial(_littered, _cpn, "COVID"),
    "otoscopy2024: class folders": _otoscopy,
    "otoscopy2024: names with underscores": partial(
        _otoscopy, spell=lambda name: name.lower().replace(" ", "_"), root="Otoscopy2024"
    ),
    "cervical_us: with patients": _cervical,
    "cervical_us: with patients, names without suffix": partial(_cervical, suffix=""),
    "cervical_us: without patients": partial(_cervical, table=False, root="Cervical-US"),
    "pneumoniamnist: two sizes": _larger_file_too,
    **{f"{flag}: npz": partial(write_npz_miniature, flag) for flag in FLAGS},
    **{f"{flag}: npz with groups": partial(write_npz_miniature, flag, mapping=True) for flag in MAPPED},
}


def expected(card: DatasetCard) -> dict[str, np.ndarray]:
    """Images of each class (of each finding for a multi-label task) in the training and test part of a miniature."""
    ones = np.ones(card.num_classes, dtype=int)
    if card.name in FLAGS:
        return {part: FLAGS[card.name].counts(part) for part in ("training", "test")}
    if card.name == "fetal_us":
        per_patient = ones + (np.array(card.class_names) == "Other")
        return {"training": per_patient * FETAL_TRAINING_PATIENTS, "test": per_patient * FETAL_TEST_PATIENTS}
    return {"training": ones * (PER_CLASS + 2 * (card.name == "cervical_us")), "test": 0 * ones}
