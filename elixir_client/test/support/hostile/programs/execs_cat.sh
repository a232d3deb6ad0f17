#!/bin/sh
# Becomes a program that has never heard of Graphport.
exec cat
