#!/bin/sh
# Becomes a program that never ends.
exec sleep 1000
