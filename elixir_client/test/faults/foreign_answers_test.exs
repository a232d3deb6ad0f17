defmodule Graphport.Faults.ForeignAnswersTest do
  # An engine that answers what another engine of the same instance was asked.
  use Graphport.Case, async: true

  alias Graphport.{Bytes, Error}
  alias Graphport.Wire.Encoder

  test "an engine cannot answer, stream to, or disturb another one's demand", %{name: name} do
    start_peer(name, engines: 2)
    [mine, foreign] = for _ <- 1..2, do: Graphport.open!(name, %{})
    {:ok, %{"os_pid" => one}} = Graphport.demand(mine, "who")
    {:ok, %{"os_pid" => other}} = Graphport.demand(foreign, "who")
    assert one != other
    {:ok, demand} = Graphport.demand_async(mine, "silent", events: true)

    for message <- [
          ["node_stream", demand.ref, "silent", "p", "x"],
          ["node_event", demand.ref, "silent", %{"event" => "started"}],
          ["part", demand.ref, 0, false, %Bytes{data: "x"}],
          ["part", demand.ref, 5, true, %Bytes{data: "x"}],
          ["demand_complete", demand.ref, "silent", %{}, %{}],
          ["demand_error", demand.ref, "silent", %{"code" => "cancelled"}],
          ["reply", demand.ref, nil],
          ["error", demand.ref, %{"code" => "cancelled"}]
        ] do
      hex = message |> Encoder.encode!() |> IO.iodata_to_binary() |> Base.encode16()
      {:ok, _unanswered} = Graphport.demand_async(foreign, "raw:" <> hex, tag: true)
    end

    assert {:ok, _outputs} = Graphport.demand(foreign, "echo")
    assert mailbox() == []
    :ok = Graphport.cancel(demand)
    assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
    assert mailbox() == []
    # Neither engine has ended.
    assert {:ok, %{"os_pid" => ^one}} = Graphport.demand(mine, "who")
    assert {:ok, %{"os_pid" => ^other}} = Graphport.demand(foreign, "who")
  end
end
