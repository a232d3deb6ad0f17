defmodule Graphport.Faults.UploadOvertakenTest do
  # A cancel passes an upload of 64 MiB, whether it is for another demand or for the upload itself, while the engine
  # reads nothing for a while. All answers come to one process, so their order says what passed what.
  use Graphport.Case, async: true

  alias Graphport.{Demand, Error, Instance}

  @bytes 64 * 1_048_576

  @moduletag :slow
  @moduletag :tmp_dir

  setup %{name: name, tmp_dir: tmp_dir} do
    start_engine(name, nodes: ["graphport_stuck_nodes"])

    nodes = [
      %{id: "works", type: "works", data: %{path: Path.join(tmp_dir, "told")}},
      %{id: "same", type: "same"}
    ]

    {:ok, session: Graphport.open!(name, %{nodes: nodes, edges: []}), os_pid: os_pid(name)}
  end

  # Returns when the engine, which reads nothing, has been given all there is credit for.
  defp upload(session) do
    test = self()
    inputs = %{"same" => %{"value" => Graphport.bytes(:binary.copy(<<7>>, @bytes))}}

    spawn_link(fn ->
      send(test, {:returned, Graphport.demand_async(session, "same", inputs: inputs, to: test, tag: :upload)})
    end)

    eventually(fn ->
      {:ok, %{engines: [%{unread_bytes: unread}]}} = Graphport.info(session.instance)
      unread > 1_500_000
    end)
  end

  defp last_messages(count) do
    for _ <- 1..count do
      receive do
        {:graphport, tag, {kind, _node, answer}} when kind in [:demand_complete, :demand_error] ->
          {tag, answer}
      after
        30_000 -> flunk("an answer is missing")
      end
    end
  end

  test "another demand is cancelled", %{session: session, os_pid: os_pid} do
    {:ok, other} = Graphport.demand_async(session, "works", tag: :other)
    assert_receive {:graphport, :other, {:node_stream, "works", "begun"}}, 10_000
    signal(os_pid, "STOP")
    upload(session)
    :ok = Graphport.cancel(other)
    signal(os_pid, "CONT")

    assert [other: %Error{code: :cancelled}, upload: %{"value" => <<_::binary-size(@bytes)>>}] =
             last_messages(2)

    assert_receive {:returned, {:ok, _demand}}
  end

  test "another demand's deadline passes", %{session: session, os_pid: os_pid} do
    {:ok, _other} = Graphport.demand_async(session, "works", tag: :other, timeout: 1_000)
    assert_receive {:graphport, :other, {:node_stream, "works", "begun"}}, 10_000
    signal(os_pid, "STOP")
    upload(session)
    receive after: (1_100 -> :ok)
    signal(os_pid, "CONT")
    assert [other: %Error{code: :deadline_exceeded}, upload: %{}] = last_messages(2)
  end

  test "the upload itself is cancelled, and most of it never written", %{session: session, os_pid: os_pid} do
    signal(os_pid, "STOP")
    upload(session)
    {:ok, instance} = Instance.fetch(session.instance)
    [row] = :ets.tab2list(instance.demands)
    :ok = Graphport.cancel(%Demand{ref: elem(row, 0), node: "same", session: session})
    signal(os_pid, "CONT")
    assert [upload: %Error{code: :cancelled}] = last_messages(1)
    assert_receive {:returned, {:ok, _demand}}, 10_000
    assert {:ok, %{"value" => 1}} = Graphport.demand(session, "same", inputs: %{"same" => %{"value" => 1}})
    [{_index, :up, _epoch, port, _credit, _facts}] = :ets.tab2list(instance.engines)
    {:output, written} = Port.info(port, :output)
    assert written < div(@bytes, 2)
    assert mailbox() == []
  end
end
