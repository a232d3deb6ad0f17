#!/bin/sh
# Starts an engine, a good one, as its child: signals to it would not reach the engine.
"$HOSTILE_PEER" "$@"
