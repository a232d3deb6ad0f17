#!/nowhere/python
# Is to be run by a program that does not exist.
