defmodule Graphport.Faults.HostCallsRepeatedTest do
  # An engine that uses the number of a call again while it is under way: that is no new run, and nobody falls over it.
  use Graphport.Case, async: true

  import Graphport.Hostile

  alias Graphport.Instance

  test "a number that is under way is no new call", %{name: name} do
    start(name, ["same_call.py"], host_nodes: [Graphport.HostNodes.Letters])
    dispatcher = Process.whereis(Instance.process_name(name, :host))
    {:ok, session} = Graphport.open(name, %{}, timeout: 20_000)

    for _ <- 1..5, do: assert({:ok, _outputs} = Graphport.demand(session, "go", timeout: 20_000))

    eventually(fn -> :sys.get_state(dispatcher).running == %{} end)
    assert :sys.get_state(dispatcher).runs == %{}
    assert Process.whereis(Instance.process_name(name, :host)) == dispatcher
  end
end
