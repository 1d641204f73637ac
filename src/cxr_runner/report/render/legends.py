"""What stands above and below tables on both pages."""

WARNINGS_HEADING = "Read the test metrics with this in mind:"
COMPARISON_LEGEND = (
    "Ours: mean ± sample standard deviation over the seeds that did not collapse; where some collapsed (one output for "
    "all images) the mean of all stands below. Inside: the published value, which is that of one run on one split, "
    "lies where one more of our runs would (95 %, Student t). That interval counts what the seeds change (initial "
    "weights, order of batches), not how few the test images are: the Wilson interval says that for the accuracy. "
    "Intervals are shown cut off at 0 and 1."
)
BASELINES_LEGEND = (
    "Trivial baselines see what is no anatomy, or next to nothing of it, on the same test images: a model that is not "
    "clearly better has shown nothing."
)
