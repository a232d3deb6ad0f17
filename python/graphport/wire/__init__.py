"""The wire: frames, the MessagePack codec and the typed messages of `PROTOCOL.md`.

Pure: bytes in, values out. Touches no file descriptor and knows no session; `server` calls it.
"""
