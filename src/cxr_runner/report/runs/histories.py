"""Histories of runs, those that can be drawn."""
