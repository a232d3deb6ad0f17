defmodule Graphport.Faults.EnginesThatEndTest do
  # Hostile programs that end, or are ended for what they say: each demand gets one `engine_down`, nothing is left of
  # the program, and the next engine works.
  use Graphport.Case, async: true

  import Graphport.Hostile

  alias Graphport.HostilePrograms

  for {program, why} <- HostilePrograms.ends() do
    test program, %{name: name} do
      # One of them is hostile to what its own first life was asked.
      next = if unquote(program) == "answers_another_epoch.py", do: unquote(program), else: :peer
      assert_engine_replaced(name, start(name, [unquote(program), next], hang_timeout: 5_000), unquote(why))
    end
  end
end
