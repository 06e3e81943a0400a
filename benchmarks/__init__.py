"""How fast, how lean and how exact MedMamba is: the measurements behind the README's figures.

==================================  ====================================================================
command                             what it measures
==================================  ====================================================================
``python -m benchmarks.scan``       the scan alone: time of each backend, accuracy against float64
``python -m benchmarks.model``      networks: forward, training step, peak memory, bars met or not
``python -m benchmarks.growth``     time and memory from 112 to 896 pixels, as a table and a figure
``python -m benchmarks.gpu``        everything above on a machine with a GPU, and the test suite
``python -m benchmarks.readme``     the README's table from ``benchmarks/results/*.json``
==================================  ====================================================================

All but the last take ``--help``. The package is not installed: run it in the root of a clone.
"""
