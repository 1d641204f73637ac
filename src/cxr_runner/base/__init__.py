"""Tools that know nothing of X-rays: errors, files, checksums, locks, machine, signals, progress, numbers, tables."""
