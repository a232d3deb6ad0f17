"""Runs models in worker processes. `app` builds the gateway; nodes reach it through `contracts`."""
