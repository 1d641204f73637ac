"""Configurations in, run directories out: plan, sweep, stack, member, evaluation, results."""
