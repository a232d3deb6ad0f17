"""Programs that run inside worker processes, one file each. The engine takes only constants from them."""
