"""The bottom layer: errors and plain values. Does no I/O and imports nothing else of the package."""
