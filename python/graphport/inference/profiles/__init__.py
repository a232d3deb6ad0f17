"""Kinds of model workers, one file each."""
