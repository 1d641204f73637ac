"""Kernels in C++, compiled for the CPU at hand when a run first needs them."""
