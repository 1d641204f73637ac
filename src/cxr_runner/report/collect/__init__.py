"""The first step of a report: every file of every run is read once, into data that is never changed afterwards."""
