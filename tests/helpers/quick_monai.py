"""Import MONAI without transformers, which it imports for one network that nothing here uses: seconds less."""

from __future__ import annotations

import sys

_LOOKED_FOR = "transformers"

if _LOOKED_FOR in sys.modules:
    import monai
else:
    sys.modules[_LOOKED_FOR] = None  # type: ignore[assignment]
    import monai  # noqa: F401

    del sys.modules[_LOOKED_FOR]
