"""The evaluator: demands in, answers out, each needed node run once.

Knows nothing of the wire, of concrete nodes or of model backends; answers leave through `contracts.sink`.
"""
