"""Doubles for tests of nodes, of this package and of its users. Nothing outside of tests imports it."""

from graphport.testing.context import RecordingContext, RecordingThreadContext

__all__ = ["RecordingContext", "RecordingThreadContext"]
