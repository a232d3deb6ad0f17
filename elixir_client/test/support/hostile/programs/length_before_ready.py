"""Begins with an announcement of 4 GB."""

from hostile import put, serve

serve(hello=lambda _facts: put(b"\xff\xff\xff\xffhello"))
