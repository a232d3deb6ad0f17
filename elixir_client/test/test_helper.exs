proper = if Code.ensure_loaded?(:proper), do: [], else: [:proper]
if proper != [], do: IO.puts("PropEr is not installed: its tests are left out (Debian: erlang-proper)")
# ErlPort's own application where ERL_LIBS has one; it is in no package registry but Hex.
unless Code.ensure_loaded?(:python), do: Code.require_file("support/erlport/python.exs", __DIR__)

# The library itself where ERL_LIBS has it.
if function_exported?(:telemetry, :start_stand_in, 0),
  do: :telemetry.start_stand_in(),
  else: {:ok, _} = Application.ensure_all_started(:telemetry)

# Before anything else runs: a BEAM that becomes a node knows its old process ids no more, the compiler's among them.
:ok = Graphport.Peers.distribute()

# `scripts/test --all` includes these two.
ExUnit.start(exclude: [:slow, :model | proper], capture_log: true)
