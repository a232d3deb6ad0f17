defmodule Graphport.Faults.DeathsAtMessagesTest do
  # An engine that dies before, amid or after saying a message of each kind, and on hearing one of each kind: every
  # demand has its one last message, and the next engine works.
  use Graphport.Case, async: true

  import Graphport.Hostile

  alias Graphport.{Error, Instance, Ledger}
  alias Graphport.Instance.Pool
  alias Graphport.Port.Writer
  alias Graphport.Wire.Messages

  # All that PROTOCOL.md §3 and §4 list.
  @said ~w(ready reply error demand_complete demand_error node_stream node_event credit log degraded pong part
           host_call host_cancel host_more node_output node_failed)
  @heard ~w(hello open close demand_async cancel grant hold query ping credit part host_reply host_stream host_progress
           update decide)
  # Met with while an engine starts and a session is loaded.
  @at_start ~w(before:ready amid:ready after:ready before:reply amid:reply after:reply on:hello on:open)
  @words for(moment <- ~w(before amid after), name <- @said, do: "#{moment}:#{name}") ++
           for(name <- @heard, do: "on:#{name}")

  test "every message of the protocol is died at" do
    text = File.read!(Path.expand("../../../python/graphport/wire/PROTOCOL.md", __DIR__))
    [_, to_engine, from_engine | _] = Regex.split(~r/^## /m, text) |> Enum.drop(2)
    named = &(Regex.scan(~r/^\| `\["(\w+)"/m, &1, capture: :all_but_first) |> List.flatten())
    # Parts have a section of their own.
    assert Enum.sort(named.(to_engine) ++ ["part"]) == Enum.sort(@heard)
    assert Enum.sort(named.(from_engine) ++ ["part"]) == Enum.sort(@said)
    assert length(@words) == 67
  end

  for word <- @at_start do
    unless String.starts_with?(word, "amid"), do: @tag(:slow)

    test word, %{name: name} do
      script = start(name, [:peer, "dies_at.py", :peer], nodes: [unquote(word)])
      pillars = pillars(name)
      ledger = Ledger.open(name)
      Ledger.demand(ledger, "die:7")
      Ledger.await(ledger)
      Ledger.await(ledger, ["die:7"])
      eventually(fn -> match?({:ok, _}, Graphport.demand(ledger.session, "echo", timeout: 20_000)) end)
      Ledger.assert_all(ledger, :engine_down, ["die:7"])
      assert starts(script) >= 3
      assert pillars(name) == pillars
      assert_buried(script, 2)
    end
  end

  for word <- @words -- @at_start do
    unless word =~ ~r/^(amid|on):/, do: @tag(:slow)

    test word, %{name: name} do
      # Short, so that there is a ping soon.
      options = [
        nodes: [unquote(word)],
        host_nodes: [Graphport.HostNodes.Letters],
        hang_timeout: if(unquote(word) =~ ~r/:(ping|pong|credit)/, do: 1_000, else: 10_000)
      ]

      script = start(name, ["dies_at.py", :peer], options)
      pillars = pillars(name)
      {:ok, other} = Graphport.open(name, %{}, timeout: 20_000)
      ledger = Ledger.open(name)
      Ledger.demand(ledger, "go")
      set_off(unquote(word), name, ledger, other)
      Ledger.await(ledger, ["go"])
      Ledger.await(ledger)
      eventually(fn -> match?({:ok, _}, Graphport.demand(ledger.session, "echo", timeout: 20_000)) end)

      # What a port has not read when its program ends may be lost.
      [{go, _text}] = ledger |> Ledger.entries() |> Map.fetch!("go")
      said = %{"after:demand_complete" => :complete, "after:demand_error" => :cancelled}[unquote(word)]
      assert go in [:engine_down, said]
      opened = for node <- Ledger.opened(), do: {node, :engine_down}
      Ledger.assert_last(ledger, [{"go", go} | opened])
      assert pillars(name) == pillars
      assert_owner_small(name)
      assert_buried(script, 1)
    end
  end

  defp set_off("on:cancel", _name, ledger, _other), do: :ok = Graphport.cancel(ledger.cancelled)
  defp set_off("on:close", _name, _ledger, other), do: :ok = Graphport.close(other)

  defp set_off("on:grant", _name, ledger, _other) do
    error = assert_raise Error, fn -> ledger.session |> Graphport.stream("go", window: 1) |> Stream.run() end
    assert error.code == :engine_down
  end

  defp set_off("on:update", _name, ledger, _other) do
    assert {:error, %Error{code: :engine_down}} =
             Graphport.update(ledger.session, [{:set, "go", %{"x" => 1}}])
  end

  defp set_off("on:decide", _name, ledger, _other),
    do: assert({:error, %Error{code: :engine_down}} = Graphport.answer(ledger.session, "go", 1))

  defp set_off("on:hold", name, ledger, _other) do
    {:ok, instance} = Instance.fetch(name)
    {:ok, {_epoch, port, credit}} = Pool.any(instance)
    :ok = Writer.try_write(port, credit, Messages.hold(ledger.cancelled.ref, true), :reserve)
  end

  defp set_off("on:part", _name, ledger, _other) do
    inputs = %{"go" => %{"x" => String.duplicate("x", 300_000)}}
    # Whoever is still writing when the engine dies asks the next one, which knows no such node.
    assert {:error, %Error{code: code}} = Graphport.demand(ledger.session, "go", inputs: inputs)
    assert code in [:engine_down, :unknown_node]
  end

  defp set_off(word, name, _ledger, _other) when word in ~w(on:query before:error amid:error),
    do: assert({:error, %Error{code: :engine_down}} = Graphport.nodes(name))

  # What a port has not read when it closes is lost.
  defp set_off("after:error", name, _ledger, _other) do
    assert {:error, %Error{code: code}} = Graphport.nodes(name)
    assert code in [:engine_down, :unknown_type]
  end

  defp set_off(_word, _name, _ledger, _other), do: :ok
end
