"""Encrypted updates are averaged by who cannot read them, through NVFlare's own filters."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="the extra federation is not installed")
pytest.importorskip("tenseal", reason="the extra encryption is not installed")

import tenseal
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_opt.he.decomposers import CKKSVectorDecomposer
from nvflare.fuel.sec.security_content_service import SecurityContentManager, SecurityContentService

from medmamba_monai.core.errors import UserError
from medmamba_monai.federation import write_job
from medmamba_monai.federation.averaging import Averaging
from medmamba_monai.federation.encryption import (
    SERVER_FILE,
    SITE_FILE,
    EncryptedAveraging,
    describe_key,
    describe_sealed,
    make_filters,
    seal,
    write_keys,
)
from medmamba_monai.federation.packing import PACKED
from medmamba_monai.federation.progress import Progress, Weights

IMAGES = {"a": 48, "b": 13}
SIZE = 5000
"""Of a network that fills more than one block."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write_keys(folder)
    return folder


def make_context() -> FLContext:
    context = FLContext()
    context.set_peer_context(FLContext())
    return context


def encrypt(keys: Path, update: np.ndarray, images: int) -> Weights:
    """What leaves a site."""
    _, encryptor = make_filters()
    encryptor.tenseal_context = tenseal.context_from((keys / SITE_FILE).read_bytes())
    encryptor.encrypt_layers = [True]
    update_of_site = DXO(DataKind.WEIGHT_DIFF, {PACKED: update}, {MetaKey.NUM_STEPS_CURRENT_ROUND: images})
    sent: Weights = encryptor.process_dxo(update_of_site, Shareable(), make_context()).data
    return sent


def decrypt(keys: Path, weights: Weights) -> np.ndarray:
    """What a site reads of what the server sends."""
    decryptor, _ = make_filters()
    decryptor.tenseal_context = tenseal.context_from((keys / SITE_FILE).read_bytes())
    values, told = describe_sealed(weights)
    return np.array(
        decryptor.process_dxo(DXO(DataKind.WEIGHTS, values, told), Shareable(), make_context()).data[PACKED]
    )


def make_server(keys: Path) -> EncryptedAveraging:
    return EncryptedAveraging(tenseal.context_from((keys / SERVER_FILE).read_bytes()))


def test_three_rounds_give_what_plain_updates_give(keys, tmp_path):
    generator = np.random.default_rng(0)
    begin = {PACKED: generator.normal(size=SIZE).astype(np.float32)}
    server, plain = make_server(keys), Averaging()
    encrypted, expected = begin, {PACKED: begin[PACKED].astype(np.float64)}
    for _ in range(3):
        updates = {site: generator.normal(scale=0.01, size=SIZE) for site in IMAGES}
        expected = plain.add(expected, plain.average({site: {PACKED: of} for site, of in updates.items()}, IMAGES))
        sent = {site: seal(encrypt(keys, updates[site], images)) for site, images in IMAGES.items()}
        encrypted = server.add(encrypted, server.average(sent, IMAGES))
        Progress(encrypted).write(tmp_path / "progress.safetensors")
        encrypted = Progress.read(tmp_path / "progress.safetensors").weights
        assert np.abs(decrypt(keys, encrypted) - expected[PACKED]).max() < 1e-6


def test_weights_that_were_not_encrypted_are_sent_as_they_are():
    begin = {PACKED: np.ones(3, np.float32)}
    assert describe_sealed(begin) == (begin, {})


def test_neither_the_server_nor_a_message_has_the_key(keys):
    server = tenseal.context_from((keys / SERVER_FILE).read_bytes())
    sent = encrypt(keys, np.ones(3), 1)[PACKED]
    _, with_it = CKKSVectorDecomposer().decompose(sent)
    assert tenseal.context_from((keys / SITE_FILE).read_bytes()).has_secret_key()
    assert not server.has_secret_key()
    assert not tenseal.context_from(with_it).has_secret_key()
    with pytest.raises(ValueError, match="secret_key"):
        tenseal.ckks_vector_from(server, sent.serialize()).decrypt()


def test_a_federation_that_goes_on_keeps_its_key(tmp_path):
    write_keys(tmp_path)
    before = (tmp_path / SITE_FILE).read_bytes()
    write_keys(tmp_path)
    assert (tmp_path / SITE_FILE).read_bytes() == before


def test_a_site_tells_its_key_from_others_and_gives_nothing_of_it_away(tmp_path, keys, monkeypatch):
    write_keys(tmp_path / "other")
    told = []
    for folder in (keys, tmp_path / "other", keys):
        monkeypatch.setattr(SecurityContentService, "security_content_manager", SecurityContentManager(str(folder)))
        told.append(describe_key())
    assert (told[0] != told[1], told[0] == told[2]) == (True, True)
    assert {len(text) for text in told} == {64}


def test_without_tenseal_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(UserError, match=r"needs TenSEAL, which is missing: pip install 'medmamba-monai\[encryption\]'"):
        write_job(tmp_path / "job", ["a", "b"], privacy="encryption")


def test_servers_and_sites_whose_kits_have_no_encryption_are_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(SecurityContentService, "security_content_manager", SecurityContentManager(str(tmp_path)))
    with pytest.raises(
        UserError, match=r"NVFlare's HEBuilder .*server has no server_context\.tenseal that can be read: "
    ):
        EncryptedAveraging.of_kit(FLContext())
    with pytest.raises(UserError, match=r"the startup kit of the site has no client_context\.tenseal that can be read"):
        describe_key()


def test_the_filters_stand_at_each_site_on_what_comes_and_what_leaves(tmp_path):

    job = write_job(tmp_path / "job", ["a", "b"], privacy="encryption")
    for site in ("a", "b"):
        config = json.loads((job / f"app_{site}" / "config" / "config_fed_client.json").read_text())
        (comes,), (leaves,) = config["task_data_filters"], config["task_result_filters"]
        assert (sorted(comes["tasks"]), leaves["tasks"]) == (["evaluate", "train", "validate"], ["train"])
        assert comes["filters"][0]["path"].endswith("HEModelDecryptor")
        assert leaves["filters"][0]["path"].endswith("HEModelEncryptor")
