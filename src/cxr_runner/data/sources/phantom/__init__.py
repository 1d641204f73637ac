"""Synthetic chest pictures of invented patients."""
