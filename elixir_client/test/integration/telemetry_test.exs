defmodule Graphport.Integration.TelemetryTest do
  # The spans of demands and nodes, with the real engine.
  use Graphport.Case, async: true

  alias Graphport.{Telemetry, TelemetryEvents}

  @graph %{
    nodes: [
      %{id: "words", type: "slow-words", data: %{text: "one two three"}},
      %{id: "answer", type: "text-output"},
      %{id: "fails", type: "raises"},
      %{id: "waits", type: "forever"}
    ],
    edges: [%{source: "words", source_handle: "text", target: "answer", target_handle: "text"}]
  }

  setup %{name: name} do
    TelemetryEvents.attach(name, Telemetry.events())
    start_engine(name, telemetry: :nodes, nodes: ["graphport_test_nodes"])
    {:ok, session: Graphport.open!(name, @graph)}
  end

  defp ended(prefix, node) do
    assert_receive {^prefix, _measurements, %{node: ^node, telemetry_span_context: context}}, 10_000
    kind = Enum.at(prefix, 1)

    receive do
      {[:graphport, ^kind, _end], %{duration: duration},
       %{node: ^node, telemetry_span_context: ^context} = metadata} ->
        assert is_integer(duration) and duration >= 0
        {duration, metadata[:status] || metadata.code}
    after
      10_000 -> flunk("the span of #{node} did not end")
    end
  end

  test "demands and nodes, executed and cached", %{session: session} do
    Graphport.demand!(session, "answer")
    assert {duration, :completed} = ended([:graphport, :demand, :start], "answer")
    assert {of_node, :completed} = ended([:graphport, :node, :start], "words")
    assert of_node > 0 and duration > of_node
    assert {_duration, :completed} = ended([:graphport, :node, :start], "answer")

    Graphport.demand!(session, "answer")
    assert {_duration, :cached} = ended([:graphport, :demand, :start], "answer")
    assert {0, :cached} = ended([:graphport, :node, :start], "answer")
  end

  test "what fails, and what ends with its demand", %{session: session} do
    {:error, _error} = Graphport.demand(session, "fails")
    assert {_duration, :node_failed} = ended([:graphport, :demand, :start], "fails")
    assert {_duration, :node_failed} = ended([:graphport, :node, :start], "fails")

    {:ok, demand} = Graphport.demand_async(session, "waits")
    assert_receive {[:graphport, :node, :start], _, %{node: "waits"}} = started, 10_000
    send(self(), started)
    Graphport.cancel(demand)
    assert {_duration, :cancelled} = ended([:graphport, :demand, :start], "waits")
    assert {_duration, :cancelled} = ended([:graphport, :node, :start], "waits")
    refute_received {[:graphport, :node, :exception], _, _}
  end
end
