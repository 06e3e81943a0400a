"""``python -m medmamba_monai`` is the console script ``medmamba-monai``."""

import sys

from medmamba_monai.cli.main import main

sys.exit(main())
