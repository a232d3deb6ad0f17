defmodule Graphport.Integration.RemoteUpdateTest do
  # Edits and watches of a session of another BEAM node, with the real engine.
  use Graphport.Case, async: true

  alias Graphport.{Error, Peers}

  test "update and watch across nodes", %{name: name} do
    peer = Peers.start()
    python = Path.expand("../../../python", __DIR__)
    :ok = Peers.start_instance(peer, name: name, python: python(), python_path: [python], drain_timeout: 0)
    graph = %{"nodes" => [%{"id" => "a", "type" => "text-input", "data" => %{"text" => "x"}}]}
    {:ok, session} = Graphport.open({name, peer.node}, graph)

    {:ok, watch} = Graphport.watch(session, "a")
    assert_receive {:node_output, "a", %{"text" => "x"}}, 10_000

    for n <- 1..100 do
      assert {:ok, %{dirty: ["a"]}} = Graphport.update(session, {:set, "a", %{"text" => "#{n}"}})
    end

    assert_receive {:node_output, "a", %{"text" => "100"}}, 10_000
    assert {:error, %Error{code: :invalid_graph}} = Graphport.update(session, {:remove, "b"})
    :ok = Graphport.cancel(watch)
    assert_receive {:demand_error, "a", %Error{code: :cancelled}}, 10_000
  end
end
