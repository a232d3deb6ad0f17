proper = if Code.ensure_loaded?(:proper), do: [], else: [:proper]
if proper != [], do: IO.puts("PropEr is not installed: its tests are left out (Debian: erlang-proper)")
ExUnit.start(exclude: proper, capture_log: true)
