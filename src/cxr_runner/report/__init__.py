"""The report: the study's tables and figures made anew from all runs below a folder, on one page and as files.

Three steps, a folder each: ``collect`` reads every file of every run once, into the frozen data of ``collected.py``;
``compare`` is functions on these data, numbers in and numbers out; ``render`` writes pages, tables and figures, and
opens no run. The same runs give the same report, byte for byte. Different images are kept apart throughout.
"""
