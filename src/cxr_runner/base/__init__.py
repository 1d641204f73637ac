"""What knows no X-ray: errors, files, checksums, locks, the machine, signals, progress, numbers, tables, HTML."""
