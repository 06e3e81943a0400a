"""How fast, how lean, how exact and how good MedMamba is: the measurements behind the documents' figures.

==================================  ========================================================================
command                             what it measures
==================================  ========================================================================
``python -m benchmarks.scan``       the scan alone: time of each backend, accuracy against float64
``python -m benchmarks.model``      networks: forward, training step, peak memory, bars met or not
``python -m benchmarks.baselines``  size and speed of every network that the pipeline trains
``python -m benchmarks.growth``     time and memory from 112 to 1,792 pixels, as a table and a figure
``python -m benchmarks.loading``    how fast images are loaded, with and without keeping them decoded
``python -m benchmarks.recipes``    cross-validations of networks and recipes, compared
``python -m benchmarks.coverage``   how often the intervals of the review hold, by simulation
``python -m benchmarks.shortcuts``  how often `prepare` warns of shortcuts where there are none, by simulation
``python -m benchmarks.scaling``    what stores and shared folders bear of many folds at a time, and a simulation
``python -m benchmarks.gpu``        speed, memory and accuracy on a machine with a GPU, and the test suite
``python -m benchmarks.pages``      the documents' figures from ``benchmarks/results/*.json``
==================================  ========================================================================

All take ``--help``. The package is not installed: run it in the root of a clone.
"""
