"""A finished run becomes a model that somebody else can check: load, predict, evaluate, calibrate, export."""
