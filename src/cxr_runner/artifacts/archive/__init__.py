"""An archive: one compact file with all that a report is made from, without weights, images and paths of a machine."""
