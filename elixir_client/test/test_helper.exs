proper = if Code.ensure_loaded?(:proper), do: [], else: [:proper]
if proper != [], do: IO.puts("PropEr is not installed: its tests are left out (Debian: erlang-proper)")
# `scripts/test --all` includes these two.
ExUnit.start(exclude: [:slow, :model | proper], capture_log: true)
