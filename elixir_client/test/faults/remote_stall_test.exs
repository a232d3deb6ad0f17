defmodule Graphport.Faults.RemoteStallTest do
  # The other BEAM node is there and takes nothing, or little: nobody but those who talk to it waits, and what waits is
  # bounded. Not async: there is one system monitor in a BEAM.
  use Graphport.Case, async: false

  alias Graphport.{Demand, Error, Peers}
  alias Graphport.Remote.{Proxy, Relay}

  setup %{name: name} do
    start_peer(name)
    {:ok, session} = Graphport.open(name, %{})
    {:ok, session: session, peer: Peers.start()}
  end

  defp queue(pid), do: Peers.queue(pid)

  defp watch_busy_connections do
    before = :erlang.system_monitor(self(), [:busy_dist_port])
    on_exit(fn -> :erlang.system_monitor(before) end)
  end

  defp suspended(pids \\ []) do
    receive do
      {:monitor, pid, :busy_dist_port, _port} -> suspended([pid | pids])
    after
      0 -> pids
    end
  end

  # No other test runs meanwhile.
  defp here(module) do
    for pid <- Process.list(),
        {:initial_call, {^module, :run, _arity}} <- [Process.info(pid, :initial_call)],
        do: pid
  end

  defp nothing_left(name) do
    eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
    eventually(fn -> here(Proxy) == [] and here(Relay) == [] end)
  end

  @tag :slow
  test "a stopped node suspends no owner, and nobody else's demands", %{
    session: session,
    name: name,
    peer: peer
  } do
    watch_busy_connections()
    receivers = for _ <- 1..20, do: returned(Peers.act(peer, self(), :info, [{name, node()}]))
    signal(peer.os_pid, "STOP")

    # Much more than a connection and the kernel take.
    for to <- receivers, do: {:ok, _demand} = Graphport.demand_async(session, "big:1000000", to: to)
    {:ok, _demand} = Graphport.demand_async(session, "count:1000000", to: hd(receivers))
    assert_receive {:monitor, suspended, :busy_dist_port, _port}, 10_000

    for _ <- 1..500 do
      assert {:ok, %{}} = Graphport.demand(session, "echo")
      assert queue(owner(name)) <= 64
      for pid <- here(Proxy) ++ here(Relay), do: assert(queue(pid) <= 64)
    end

    # An owner there, who cannot even be monitored now, keeps nobody else from opening.
    assert {:error, %Error{code: :deadline_exceeded}} =
             Graphport.open(name, %{}, owner: hd(receivers), timeout: 50)

    assert {:ok, _session} = Graphport.open(name, %{})
    suspended = [suspended | suspended()]
    refute owner(name) in suspended
    refute self() in suspended
    {:ok, instance} = Graphport.Instance.fetch(name)
    refute Process.whereis(instance.janitor) in suspended
    refute session.pid in suspended
    signal(peer.os_pid, "CONT")

    for to <- receivers,
        do:
          assert_receive(
            {:came, ^to, {:demand_complete, "big:1000000", %{"data" => <<_::1_000_000-bytes>>}}},
            30_000
          )

    signal(peer.os_pid, "KILL")
    nothing_left(name)
  end

  defp returned(actor) do
    assert_receive {:returned, ^actor, {:ok, _info}}, 5_000
    actor
  end

  test "a stopped node's own demands wait within their window, and end with it", context do
    %{session: session, name: name, peer: peer} = context
    actor = Peers.act(peer, self(), :demand_async, [session, "count:1000000", []])
    assert_receive {:returned, ^actor, {:ok, %Demand{}}}, 5_000
    assert_receive {:came, ^actor, {:node_stream, "count:1000000", "0"}}, 5_000
    signal(peer.os_pid, "STOP")
    assert [proxy] = here(Proxy)

    for _ <- 1..500 do
      assert {:ok, %{}} = Graphport.demand(session, "echo")
      assert queue(proxy) <= 64
      assert queue(owner(name)) <= 64
    end

    signal(peer.os_pid, "KILL")
    assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
    nothing_left(name)
  end

  test "a consumer that takes one chunk now and then holds no more than its window", context do
    %{session: session, name: name, peer: peer} = context
    reader = Peers.read(peer, self(), session, "count:200", window: 8)

    for n <- 0..199 do
      text = Integer.to_string(n)
      assert_receive {:chunk, ^reader, ^text}, 5_000
      # What the engine may send has been sent, and come to where it waits.
      assert {:ok, %{}} = Graphport.demand(session, "echo")
      # First where chunks go to: those that go meanwhile must not be counted twice.
      there = for pid <- [reader | Peers.leading(Relay, peer.node, node())], do: queue(pid)
      waiting = for pid <- here(Proxy), do: queue(pid)
      assert Enum.sum(there) + Enum.sum(waiting) <= 10
      send(reader, :next)
    end

    assert_receive {:end, ^reader}, 5_000
    assert {:ok, %{"ids" => grants}} = Graphport.demand(session, "grants:40")
    assert Enum.all?(grants, fn [_demand, n] -> n in [4, 8] end)
    nothing_left(name)
  end

  @tag :slow
  test "callers of a stopped node come back at their deadline, whatever they send", %{name: name, peer: peer} do
    :ok = Peers.start_instance(peer, peer_options(name))
    there = {name, peer.node}
    {:ok, session} = Graphport.open(there, %{})
    {:ok, %{open_sessions: 1}} = Graphport.info(there)
    {:ok, %Demand{ref: ref}} = Graphport.demand_async(session, "silent", timeout: 200, tag: :begun)
    signal(peer.os_pid, "STOP")
    inputs = %{"a" => %{"v" => Graphport.bytes(:binary.copy("x", 20_000_000))}}

    for options <- [[timeout: 50, inputs: inputs], [timeout: 50]] do
      assert {:error, %Error{code: :deadline_exceeded}} = Graphport.demand(session, "silent", options)
      assert {:error, %Error{code: :deadline_exceeded}} = Graphport.demand_async(session, "silent", options)

      assert_raise Error, ~r/deadline_exceeded/, fn ->
        session |> Graphport.stream("silent", options) |> Enum.to_list()
      end
    end

    assert {:error, %Error{code: :deadline_exceeded}} = Graphport.open(there, %{}, timeout: 50)
    assert {:error, %Error{code: :deadline_exceeded}} = Graphport.nodes(there, timeout: 50)
    assert :ok = Graphport.cancel(%Demand{ref: ref, node: "silent", session: session})
    assert_receive {:graphport, :begun, {:demand_error, "silent", %Error{code: :deadline_exceeded}}}, 5_000
    signal(peer.os_pid, "CONT")

    # What it was sent meanwhile comes to nothing.
    eventually(fn -> Peers.leading(Proxy, peer.node, node()) == [] and here(Relay) == [] end)
    eventually(fn -> match?({:ok, %{open_demands: 0, open_sessions: 1}}, Graphport.info(there)) end)
    assert {:ok, %{}} = Graphport.demand(session, "echo")
    assert mailbox() == []
  end
end
