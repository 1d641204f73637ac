"""Runs whose training times can be compared: on pixels, as the study trains, at one image size and on one device."""
