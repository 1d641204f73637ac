"""What knows no X-ray: errors, files, checksums, locks, machine, signals, output, workers, numbers, tables, HTML."""
