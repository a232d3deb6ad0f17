defmodule Graphport.Faults.ReserveTest do
  # However many demands are open or wait to be written, what ends, answers or feeds them still gets through: credit is
  # for what is on its way, not for what is under way, and a part of it is for those messages alone.
  use Graphport.Case, async: true

  import Graphport.Pressure

  alias Graphport.{Caller, Error, Instance}
  alias Graphport.Port.Writer
  alias Graphport.Wire.Messages

  @open 512

  test "open demands hold no credit", %{name: name} do
    {session, _os_pid} = start(name)
    for _ <- 1..@open, do: assert({:ok, _demand} = Graphport.demand_async(session, "silent"))
    await_full_credit(name)
    assert {:ok, %{open_demands: @open}} = Graphport.info(name)
  end

  test "all of it goes while demands have taken the rest, and none of it is lost", %{name: name} do
    {session, os_pid} = start(name)
    demands = for _ <- 1..@open, do: elem(Graphport.demand_async(session, "silent"), 1)
    await_full_credit(name)
    stop(os_pid)
    assert {unread, %Error{code: :overloaded}} = fill(session, "echo")
    assert unread in 440..448

    # 15 of each kind at once, from the reserve, without waiting. The rest is for the owner's own pings.
    {:ok, instance} = Instance.fetch(name)
    {_epoch, port, credit} = pipe(name)
    {cancelled, others} = Enum.split(demands, 15)
    for demand <- cancelled, do: assert(:ok = Graphport.cancel(demand))
    for demand <- Enum.take(others, 15), do: assert(:ok = Caller.grant(instance, demand.ref, 1))
    for n <- 1..15, do: assert(:ok = Writer.try_write(port, credit, Messages.ping(n), :reserve))
    for n <- 1..15, do: assert(:ok = Writer.try_write(port, credit, Messages.close(n, n), :reserve))
    assert {:error, :overloaded} = Writer.try_write(port, credit, Messages.ping(0), :normal)

    signal(os_pid, "CONT")
    for _ <- 1..15, do: assert_receive({:demand_error, "silent", %Error{code: :cancelled}}, 5_000)
    for _ <- 1..unread, do: assert_receive({:demand_complete, "echo", _outputs}, 5_000)
    assert {:ok, %{open_demands: open}} = Graphport.info(name)
    assert open == @open - 15
    assert {:ok, %{"ids" => grants}} = Graphport.demand(session, "grants:15")
    assert length(grants) == 15
  end

  # Answers of the BEAM for nodes that it runs itself are such messages: as many as there are open demands wait here.
  test "512 open demands and 512 answers that wait for each other's pipe do not deadlock", %{name: name} do
    {session, os_pid} = start(name)
    demands = for _ <- 1..@open, do: elem(Graphport.demand_async(session, "silent"), 1)
    await_full_credit(name)
    stop(os_pid)
    {unread, _error} = fill(session, "echo")

    # More demands wait for credit than there is of it, and they come before the answers.
    late = for _ <- 1..64, do: Task.async(fn -> Graphport.demand(session, "echo", timeout: 60_000) end)
    {_epoch, port, credit} = pipe(name)
    parent = self()

    answers =
      for demand <- demands do
        Task.async(fn ->
          send(parent, :answering)
          Writer.write(port, credit, Messages.grant(demand.ref, 1), :reserve, Writer.deadline(60_000))
        end)
      end

    for _ <- answers, do: assert_receive(:answering, 5_000)
    for demand <- demands, do: assert(:ok = Graphport.cancel(demand))

    signal(os_pid, "CONT")
    for _ <- demands, do: assert_receive({:demand_error, "silent", %Error{code: :cancelled}}, 10_000)
    assert answers |> Task.await_many(20_000) |> Enum.uniq() == [:ok]
    for {:ok, %{}} <- Task.await_many(late, 20_000), do: send(self(), :late)
    for _ <- late, do: assert_receive(:late)
    for _ <- 1..unread, do: assert_receive({:demand_complete, "echo", _outputs}, 5_000)
    await_full_credit(name)
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    assert mailbox() == []
  end

  test "a session that ends while nothing is read, and the reserve is used up, is closed later", %{name: name} do
    {session, os_pid} = start(name)
    stop(os_pid)
    {_epoch, port, credit} = pipe(name)
    write_all(port, credit)

    closing = for _ <- 1..3, do: Task.async(fn -> Graphport.close(session) end)
    owner = spawn(fn -> receive do: (:never -> :ok) end)
    signal(os_pid, "CONT")
    assert Task.await_many(closing) == [:ok, :ok, :ok]
    {:ok, second} = Graphport.open(name, %{}, owner: owner)
    {:ok, third} = Graphport.open(name, %{})
    await_full_credit(name)
    stop(os_pid)
    write_all(port, credit)
    monitor = Process.monitor(second.pid)
    Process.exit(owner, :kill)
    # It does not wait for credit itself.
    assert_receive {:DOWN, ^monitor, :process, _pid, :normal}, 2_000
    signal(os_pid, "CONT")
    assert {:ok, %{"ids" => [_first, _second]}} = Graphport.demand(third, "closes:2")
  end

  describe "the real engine" do
    @gate %{
      "nodes" => [
        %{"id" => "waits", "type" => "waits-at-gate"},
        %{"id" => "opens", "type" => "opens-gate"}
      ],
      "edges" => []
    }

    setup %{name: name} do
      start_engine(name, nodes: ["graphport_waiting_nodes"])
      {:ok, session} = Graphport.open(name, @gate)
      {:ok, session: session, demands: for(n <- 1..@open, do: demand(session, n))}
    end

    test "ends all of 512 open streaming demands when they are cancelled", context do
      %{session: session, demands: demands, name: name} = context
      for demand <- demands, do: :ok = Graphport.cancel(demand)
      assert ends(demands) == [{["%n waits "], :cancelled}]
      assert ended(name, session)
    end

    test "completes all of 512 open streaming demands, each with its own chunks in order", context do
      %{session: session, demands: demands, name: name} = context
      assert {:ok, _outputs} = Graphport.demand(session, "opens")
      assert ends(demands) == [{["%n waits ", "is through"], "%n"}]
      assert ended(name, session)
    end

    # All have begun: each has said its first word.
    defp demand(session, n) do
      {:ok, demand} =
        Graphport.demand_async(session, "waits", tag: n, inputs: %{"waits" => %{"text" => "#{n}"}})

      assert_receive {:graphport, ^n, {:node_stream, "waits", _chunk}} = first, 5_000
      Process.put(n, [chunk(first)])
      demand
    end

    # What each demand got, with its number as %n: the same of all.
    defp ends(demands) do
      for(n <- 1..length(demands), do: the_end(n)) |> Enum.uniq()
    end

    defp the_end(n) do
      receive do
        {:graphport, ^n, {:node_stream, "waits", _chunk} = _message} = more ->
          Process.put(n, [chunk(more) | Process.get(n)])
          the_end(n)

        {:graphport, ^n, {:demand_complete, "waits", %{"text" => text}}} ->
          {chunks(n), anyone(text, n)}

        {:graphport, ^n, {:demand_error, "waits", %Error{code: code}}} ->
          {chunks(n), code}
      after
        10_000 -> :no_end
      end
    end

    defp chunk({:graphport, _n, {:node_stream, _node, chunk}}), do: chunk
    defp chunks(n), do: for(chunk <- Enum.reverse(Process.get(n)), do: anyone(chunk, n))
    defp anyone(text, n), do: String.replace(text, ~r/^#{n}\b/, "%n")

    defp ended(name, _session) do
      await_full_credit(name)
      assert mailbox() == []
      match?({:ok, %{open_demands: 0}}, Graphport.info(name))
    end
  end

  defp start(name) do
    start_peer(name, hang_timeout: 600_000)
    {:ok, session} = Graphport.open(name, %{})
    {session, os_pid(name)}
  end

  # Every frame there is credit for, of those that change nothing.
  defp write_all(port, credit) do
    case Writer.try_write(port, credit, Messages.grant(1, 1), :reserve) do
      :ok -> write_all(port, credit)
      {:error, :overloaded} -> :ok
    end
  end
end
