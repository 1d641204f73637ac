"""Benchmarks: each module measures one promise against the plain way of doing the same, in the same run.

``make bench`` runs all of them, ``make bench ONLY=linear`` one, ``make bench ARGS=--quick`` only whether they work.
"""
