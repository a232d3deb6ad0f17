"""Programs that run inside worker processes, one file each. The engine never imports them."""
