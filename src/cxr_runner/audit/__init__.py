"""The audit of a data set: what to know of the images before a model is trained on them.

It looks for identical and nearly identical images, for patients in several splits, for sizes that differ between the
classes, and measures how far a linear model gets without looking at anatomy. ``cxr-data audit`` writes the result as
``audit.json`` and as a page.
"""
