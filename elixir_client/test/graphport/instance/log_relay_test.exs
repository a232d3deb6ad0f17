defmodule Graphport.Instance.LogRelayTest do
  use Graphport.Case, async: true

  alias Graphport.Instance
  alias Graphport.Instance.LogRelay

  @graph %{"nodes" => [%{"id" => "a", "type" => "text-input"}], "edges" => []}

  test "a stray message, or its death, costs no session", %{name: name} do
    start_peer(name)
    {:ok, session} = Graphport.open(name, @graph)
    {:ok, instance} = Instance.fetch(name)
    relay = Process.whereis(instance.log_relay)

    send(relay, :stray)
    assert :sys.get_state(relay) == name
    reference = Process.monitor(relay)
    Process.exit(relay, :kill)
    assert_receive {:DOWN, ^reference, :process, ^relay, :killed}

    assert {:ok, _outputs} = Graphport.demand(session, "echo")
  end

  test "lines that find no room are counted, and the count is told", %{name: name} do
    start_peer(name)
    {:ok, instance} = Instance.fetch(name)
    relay = Process.whereis(instance.log_relay)
    :sys.suspend(relay)
    for _line <- 1..1_500, do: LogRelay.log(instance, {:debug, "test", "line", %{}, 1})
    assert :atomics.get(instance.dropped_lines, 1) >= 500

    log =
      ExUnit.CaptureLog.capture_log(fn ->
        :sys.resume(relay)
        :sys.get_state(relay)
      end)

    assert log =~ "log lines of nodes were dropped"
    assert :atomics.get(instance.dropped_lines, 1) == 0
  end
end
