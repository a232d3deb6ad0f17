defmodule Graphport.Faults.EnginesThatMisbehaveTest do
  # Hostile programs that a demand survives: each demand has its one last message, and the engine goes on.
  use Graphport.Case, async: true

  import Graphport.Hostile

  alias Graphport.{HostilePrograms, Ledger}

  for {program, go, cancelled, released} <- HostilePrograms.lives() do
    test program, %{name: name} do
      script = start(name, [unquote(program)])
      pillars = pillars(name)
      os_pid = os_pid(name)
      ledger = Ledger.open(name)
      Ledger.demand(ledger, "go")
      Ledger.await(ledger, ["go"])
      :ok = Graphport.cancel(ledger.cancelled)
      Ledger.await(ledger, ["silent:1"])
      {:ok, _outputs} = Graphport.demand(ledger.session, "release", timeout: 20_000)
      Ledger.await(ledger)

      expected = for node <- ~w(silent:2 silent:3 silent:waiting silent:stream), do: {node, unquote(released)}
      Ledger.assert_last(ledger, [{"go", unquote(go)}, {"silent:1", unquote(cancelled)} | expected])
      assert pillars(name) == pillars
      assert os_pid(name) == os_pid
      assert_owner_small(name)
      :ok = stop_supervised({Graphport, name})
      assert_buried(script)
    end
  end

  test "a question that is answered as if it were a demand has failed", %{name: name} do
    start(name, ["wrong_kind_of_answer.py"])
    assert {:error, %Graphport.Error{code: :bad_message}} = Graphport.nodes(name)
    assert mailbox() == []
  end

  test "every program is in the table, and there are many" do
    assert Enum.sort(HostilePrograms.all()) == programs()
    assert length(programs()) >= 50
  end
end
