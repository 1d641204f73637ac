"""The audit of a data set: what anybody should know of images before a model is trained on them.

Sizes, identical and nearly identical images, patients in several splits, and how far a linear model gets on things that
are no anatomy. ``cxr-data audit`` writes it as ``audit.json`` and as a page.
"""
