"""Seams between the layers: node specs and the protocols that nodes, backends and services fulfil.

Holds declarations only; no behaviour, no I/O. Every layer above may import it; it imports `core` alone.
"""
