"""The process of one fold: ``python -m medmamba_monai.cross_validation job.json``."""

import sys

from medmamba_monai.cross_validation.fold_process import main

sys.exit(main(sys.argv[1]))
