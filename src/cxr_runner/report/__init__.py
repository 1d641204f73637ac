"""The report: the study's tables and figures made anew from all runs below a folder, on one page and as files.

The same runs give the same report, byte for byte. Different images are kept apart throughout.
"""
