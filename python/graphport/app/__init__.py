"""The composition root: the only layer that names concrete nodes, backends and services, and wires them together."""
