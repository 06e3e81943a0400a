"""Updates that only sites can read: NVFlare's filters encrypt and decrypt there, and the server adds what it has.

The scheme is CKKS, of TenSEAL. A ciphertext is kept as its bytes, so that it is weights like any others for what
sends and keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.dxo import MetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.fuel.sec.security_content_service import SecurityContentService

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.files import write_bytes
from medmamba_monai.federation.averaging import Averaging
from medmamba_monai.federation.packing import PACKED
from medmamba_monai.federation.progress import Weights

SERVER_FILE, SITE_FILE = "server_context.tenseal", "client_context.tenseal"
"""Files of a startup kit, as NVFlare names them: what a server adds with, and the key of all sites."""
_EXTRA = "medmamba-monai[encryption]"
_NOT_PROVISIONED = (
    "--privacy encryption needs a federation that NVFlare's HEBuilder provisioned, as `nvflare poc prepare -he` does; "
    "the startup kit of the {} has no {} that can be read"
)


def check_tenseal() -> None:
    """Check that TenSEAL is there, which NVFlare's filters need.

    Raises:
        UserError: it is not.
    """
    try:
        import tenseal  # noqa: F401
    except ImportError as error:
        raise UserError(f"--privacy encryption needs TenSEAL, which is missing: pip install '{_EXTRA}'") from error


def write_keys(folder: Path) -> None:
    """Write the files of a federation on one machine, as NVFlare provisions them; those that are there stay.

    Raises:
        UserError: they cannot be written.
    """
    from nvflare.lighter.impl.he import HEBuilder

    if all((folder / name).is_file() for name in (SERVER_FILE, SITE_FILE)):
        return
    builder = HEBuilder()
    builder.initialize(None, None)  # neither is used
    for name in (SERVER_FILE, SITE_FILE):
        write_bytes(folder / name, builder.get_serialized_context(is_client=name == SITE_FILE))


def describe_key() -> str:
    """Return a digest of the key in a site's startup kit, which tells it from others and gives nothing of it away.

    Raises:
        UserError: the kit has none.
    """
    content, _ = SecurityContentService.load_content(SITE_FILE)
    if not content:
        raise UserError(_NOT_PROVISIONED.format("site", SITE_FILE))
    return hashlib.sha256(content).hexdigest()


def make_filters() -> tuple[Any, Any]:
    """Return NVFlare's filters of a site: what decrypts what comes, and what encrypts what leaves.

    The latter multiplies by the site's training images first, since a server would lose a level of the scheme by it.

    Raises:
        UserError: TenSEAL is missing.
    """
    check_tenseal()
    from nvflare.app_opt.he.model_decryptor import HEModelDecryptor
    from nvflare.app_opt.he.model_encryptor import HEModelEncryptor

    return HEModelDecryptor(SITE_FILE), HEModelEncryptor(SITE_FILE)


def seal(weights: Weights) -> Weights:
    """Return weights with each ciphertext as its bytes."""
    return {
        name: np.frombuffer(value.serialize(), np.uint8) if hasattr(value, "serialize") else value
        for name, value in weights.items()
    }


def describe_sealed(weights: Weights) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return weights as a site's filter takes them, and what it must be told of them."""
    from nvflare.app_opt.he.constant import HE_ALGORITHM_CKKS

    sealed = {name: name == PACKED and value.dtype == np.uint8 for name, value in weights.items()}
    values = {name: value.tobytes() if sealed[name] else value for name, value in weights.items()}
    if not any(sealed.values()):
        return values, {}
    return values, {MetaKey.PROCESSED_KEYS: sealed, MetaKey.PROCESSED_ALGORITHM: HE_ALGORITHM_CKKS}


class EncryptedAveraging(Averaging):
    """Averages what it cannot read.

    Args:
        context: TenSEAL's of a server, without the key.
    """

    weighted_at_sites = True

    def __init__(self, context: Any) -> None:
        from nvflare.app_opt.he import decomposers

        decomposers.register()
        self._context = context

    @classmethod
    def of_kit(cls, fl_ctx: FLContext) -> EncryptedAveraging:
        """Make one with what the server's startup kit has.

        Raises:
            UserError: TenSEAL is missing, or the kit was made without encryption.
        """
        check_tenseal()
        from nvflare.app_opt.he.homomorphic_encrypt import load_tenseal_context_from_workspace

        try:
            return cls(load_tenseal_context_from_workspace(SERVER_FILE, fl_ctx))
        except ValueError as error:
            raise UserError(f"{_NOT_PROVISIONED.format('server', SERVER_FILE)}: {error}") from error

    def average(self, updates: Mapping[str, Weights], images: Mapping[str, int]) -> Weights:
        """Average updates that sites have multiplied by their images."""
        opened = {site: {PACKED: self._open(update[PACKED])} for site, update in updates.items()}
        return seal(super().average(opened, images))

    def add(self, weights: Weights, update: Weights) -> Weights:
        """Return the ciphertext of the sum; the weights with which a fold begins are none."""
        common = weights[PACKED]
        added = self._open(update[PACKED]) + (self._open(common) if common.dtype == np.uint8 else common)
        return seal({PACKED: added})

    def _open(self, value: np.ndarray) -> Any:
        import tenseal

        return tenseal.ckks_vector_from(self._context, value.tobytes())
