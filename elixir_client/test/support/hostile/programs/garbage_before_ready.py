"""Begins with a frame that is no MessagePack."""

from hostile import framed, put, serve

serve(hello=lambda _facts: put(framed(b"\xc1\xc1")))
