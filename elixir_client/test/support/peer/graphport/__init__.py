"""A scripted engine for the tests of the Elixir side: it shadows the real package on PYTHONPATH."""
