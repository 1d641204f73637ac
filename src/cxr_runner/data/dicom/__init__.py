"""DICOM files: pixels by one documented policy, and the few values of a header that may be told."""
