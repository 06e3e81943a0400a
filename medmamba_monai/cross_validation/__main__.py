"""The process of one fold, ``python -m medmamba_monai.cross_validation job.json``, or what forks it (``--serve``)."""

import sys
from multiprocessing.connection import Connection

from medmamba_monai.cross_validation.fold_process import main
from medmamba_monai.cross_validation.fold_server import serve

sys.exit(serve(Connection(int(sys.argv[2]))) if sys.argv[1] == "--serve" else main(sys.argv[1]))
