"""What stands above and below tables on both pages."""

WARNINGS_HEADING = "Read the test metrics with this in mind:"
COMPARISON_LEGEND = (
    "Ours: mean ± sample standard deviation over the runs that did not collapse; where some collapsed (one output for "
    "all images) the mean of all stands below. Inside: the published value, which is that of one run, lies where one "
    "more of our runs would (95 %, Student t) that has another seed, is tested on as many other images as the study's "
    "and, where there are several splits, has another split. Of a single split it is not known what another would "
    "change, so that the interval is rather too narrow. Intervals are shown cut off at 0 and 1."
)
BASELINES_LEGEND = (
    "Trivial baselines see what is no anatomy, or next to nothing of it, on the same test images: a model that is not "
    "clearly better has shown nothing."
)
