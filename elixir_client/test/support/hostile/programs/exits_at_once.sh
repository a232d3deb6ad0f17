#!/bin/sh
# Ends at once, politely.
exit 0
