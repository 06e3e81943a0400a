"""Imported last by the process that others are forked from: collections of garbage pass over what it holds.

Else each of them would look at a million objects, and copy the memory that they are in.
"""

import gc

gc.collect()
gc.freeze()
