"""What can be asked of an evaluator: a plan before it runs, why it would run, what running has cost, a run's trace."""
