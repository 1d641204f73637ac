"""Configurations in, run directories out: plan, sweep, stack, member, results."""
