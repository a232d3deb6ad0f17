"""Ends at once, politely."""

import os

from hostile import serve

serve(lambda _demand: os._exit(0))
