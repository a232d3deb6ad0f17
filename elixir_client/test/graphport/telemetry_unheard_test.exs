defmodule Graphport.TelemetryUnheardTest do
  # Alone, because handlers are the whole VM's: here there are none but those that a test attaches.
  use Graphport.Case, async: false

  alias Graphport.Instance

  setup %{name: name} do
    assert :telemetry.list_handlers([:graphport]) == []
    start_peer(name)
    {:ok, session: Graphport.open!(name, %{})}
  end

  def handle(event, _measurements, %{node: node}, test), do: send(test, {event, node})

  defp attach(event) do
    :ok = :telemetry.attach(__MODULE__, event, &__MODULE__.handle/4, self())
    on_exit(fn -> :telemetry.detach(__MODULE__) end)
  end

  defp spans(name) do
    {:ok, instance} = Instance.fetch(name)

    for {id, _caller, _session, node, _started, _epoch} when is_integer(id) <-
          :ets.tab2list(instance.telemetry.spans),
        do: node
  end

  test "a demand that nobody would hear of has no span, and a handler attached later is not told of its end",
       %{name: name, session: session} do
    {:ok, early} = Graphport.demand_async(session, "silent")
    assert spans(name) == []
    attach([:graphport, :demand, :exception])
    {:ok, late} = Graphport.demand_async(session, "silent:too")
    assert spans(name) == ["silent:too"]

    Graphport.cancel(early)
    assert_receive {:demand_error, "silent", _error}, 5_000
    Graphport.cancel(late)
    assert_receive {[:graphport, :demand, :exception], "silent:too"}, 5_000
    refute_received {[:graphport, :demand, _], "silent"}
  end

  for event <- [:start, :stop] do
    test "one handler, of the #{event}, is enough", %{name: name, session: session} do
      attach([:graphport, :demand, unquote(event)])
      Graphport.demand!(session, "echo")
      assert_receive {[:graphport, :demand, unquote(event)], "echo"}, 5_000
      eventually(fn -> spans(name) == [] end)
    end
  end

  test "with events of nodes every demand has a span", %{name: name} do
    :ok = stop_supervised({Graphport, name})
    start_peer(name, telemetry: :nodes)
    {:ok, _demand} = name |> Graphport.open!(%{}) |> Graphport.demand_async("silent")
    assert spans(name) == ["silent"]
  end
end
