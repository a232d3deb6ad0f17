"""One engine process: frames in from the pipe, demands to the evaluator, frames out.

Names no concrete node, backend or store; `app` hands in an evaluator. Called by `app.engine`.
"""
