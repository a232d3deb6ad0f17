#!/bin/sh
# Lacks the permission to be run.
exit 0
