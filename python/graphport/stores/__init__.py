"""Stores for results of nodes: `contracts.cache_store` in memory, in a folder, in an SQLite file.

Nothing here knows the evaluator. Named and opened by `app.cache` alone.
"""
