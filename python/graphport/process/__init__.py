"""Starts and watches child processes. Used by `inference`, the workers and the port server."""
