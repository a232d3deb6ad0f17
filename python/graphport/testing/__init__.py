"""What tests and benchmarks need and users do not. Never imported by the running engine."""
