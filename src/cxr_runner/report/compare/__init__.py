"""The second step of a report: pure functions on the collected data, numbers in and numbers out."""
