"""Graphs as data: model, reading, checking, port types, the catalogue of node types, the node decorator.

Pure: no I/O but reading source files for their digest, no clock, no threads. See README.md.
"""
