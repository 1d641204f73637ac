"""Sends finished runs to trackers, MLflow and TensorBoard; training itself knows none.

``tracked_run.py`` makes of each run what any tracker is told; a module a tracker tells it, and alone imports its
library; ``sending.py`` goes through the runs of an outputs tree.
"""
