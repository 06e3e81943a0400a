"""The tests of the package, in the same folders; what several of them need is in helpers/ and conftest.py."""

import os
import sys

# What is compiled is kept, for the hundreds of processes that tests start, also where an image of containers says no.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Workers share the cores: threads of torch that wait for one another give them up, where they would spin in vain.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported, here and in what tests start
if "PYTEST_XDIST_WORKER" in os.environ:  # before anything imports torch, which reads it once
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each worker has one core; more threads would wait for one another
