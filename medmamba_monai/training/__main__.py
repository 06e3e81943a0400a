"""The process of one fold: ``python -m medmamba_monai.training job.json``."""

import sys

from medmamba_monai.training.fold_process import main

sys.exit(main(sys.argv[1]))
