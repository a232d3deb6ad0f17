"""The one async HTTP and server-sent-events client. Used by `inference`; `httpx` is imported at first use."""
