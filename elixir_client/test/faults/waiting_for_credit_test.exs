defmodule Graphport.Faults.WaitingForCreditTest do
  # Who finds no credit waits for it: until its own deadline, and no longer.
  use Graphport.Case, async: true

  import Graphport.Pressure

  alias Graphport.{Error, Instance}
  alias Graphport.Port.Writer
  alias Graphport.Wire.Messages

  setup %{name: name} do
    start_peer(name, hang_timeout: 600_000)
    {:ok, session} = Graphport.open(name, %{})
    os_pid = os_pid(name)
    stop(os_pid)
    {unread, %Error{code: :overloaded}} = fill(session, "silent")
    {:ok, session: session, os_pid: os_pid, unread: unread}
  end

  test "its deadline passes: overloaded, at once or later, and nothing of it is left", context do
    %{session: session, name: name, unread: unread} = context

    for timeout <- [0, 1, 50], demand <- [&Graphport.demand/3, &Graphport.demand_async/3] do
      assert {:error, %Error{code: :overloaded} = error} = demand.(session, "echo", timeout: timeout)
      assert Exception.message(error) =~ "before the deadline"
    end

    big = %{"sizes" => %{"text" => String.duplicate("x", 600_000)}}
    assert {:error, %Error{code: :overloaded}} = Graphport.demand(session, "sizes", inputs: big, timeout: 20)
    assert {:error, %Error{code: :overloaded}} = Graphport.nodes(name, timeout: 20)

    assert_raise Error, ~r/overloaded/, fn ->
      Enum.to_list(Graphport.stream(session, "count:3", timeout: 20))
    end

    assert {:ok, %{open_demands: ^unread}} = Graphport.info(name)
    assert mailbox() == []
  end

  test "one after the other gives up at its own deadline, the last one goes on", context do
    %{session: session, os_pid: os_pid} = context
    parent = self()

    for timeout <- [400, 20, 60_000, 150] do
      spawn_link(fn -> send(parent, {timeout, Graphport.demand(session, "echo", timeout: timeout)}) end)
    end

    for _ <- 1..3,
        do: assert_receive({timeout, {:error, %Error{code: :overloaded}}} when timeout < 60_000, 5_000)

    refute_received {60_000, _answer}
    signal(os_pid, "CONT")
    assert_receive {60_000, {:ok, %{"options" => %{"deadline_ms" => left}}}}, 20_000
    # What the engine is told is what was left when it was written.
    assert left < 60_000 - 400
  end

  test "credit comes in the middle of the wait: everything that waited goes on", context do
    %{session: session, os_pid: os_pid, name: name} = context
    big = %{"sizes" => %{"text" => String.duplicate("x", 600_000)}}

    waiting = [
      Task.async(fn -> Graphport.demand(session, "echo", timeout: 60_000) end),
      Task.async(fn -> Graphport.demand(session, "echo", timeout: :infinity) end),
      Task.async(fn -> Graphport.demand(session, "sizes", inputs: big, timeout: 60_000) end),
      Task.async(fn -> Graphport.demand(session, "sizes", inputs: big, timeout: :infinity) end),
      Task.async(fn -> Graphport.nodes(name, timeout: 60_000) end),
      Task.async(fn -> session |> Graphport.stream("count:3") |> Enum.to_list() end),
      Task.async(fn -> Graphport.open(name, %{}, owner: :none) end)
    ]

    # Each has looked for credit in vain, and looks again from time to time.
    for %{pid: pid} <- Enum.take(waiting, 6), do: eventually(fn -> waits?(pid) end)
    signal(os_pid, "CONT")
    results = Task.await_many(waiting, 20_000)

    assert [{:ok, _}, {:ok, _}, {:ok, %{"ports" => _}}, {:ok, %{"ports" => _}}, {:ok, _}, chunks, {:ok, _}] =
             results

    assert chunks == ["0", "1", "2"]
  end

  # Whoever sees first that the pipe is closed: its owner, who ends all that is open, or the waiting process itself, which
  # has written nothing yet and goes on.
  test "the engine is killed meanwhile: what waited ends with it or goes to the next one, not to its deadline",
       context do
    %{session: session, os_pid: os_pid, unread: unread} = context
    waiting = for _ <- 1..20, do: Task.async(fn -> Graphport.demand(session, "echo", timeout: 600_000) end)
    for %{pid: pid} <- waiting, do: eventually(fn -> waits?(pid) end)
    signal(os_pid, "KILL")
    ends = Task.await_many(waiting, 20_000)
    assert length(ends) == 20
    assert Enum.reject(ends, &went_on_or_down?/1) == []
    for _ <- 1..unread, do: assert_receive({:demand_error, "silent", %Error{code: :engine_down}}, 5_000)
    assert mailbox() == []
    assert {:ok, %{}} = Graphport.demand(session, "echo")
  end

  test "a written demand whose frame was shortened keeps the credit true", %{name: name, os_pid: os_pid} do
    {:ok, instance} = Instance.fetch(name)
    {_epoch, port, credit} = pipe(name)
    signal(os_pid, "CONT")
    await_full_credit(name)
    stop(os_pid)
    frame = IO.iodata_to_binary(Messages.grant(1, 300))
    :ok = Writer.reserve(port, credit, byte_size(frame) + 5, :normal, Writer.deadline(0))
    :ok = Writer.write_reserved(port, credit, frame, byte_size(frame) + 5)
    assert unread(name) == {1, byte_size(frame)}
    assert Graphport.Instance.Demands.count(instance) > 0
    signal(os_pid, "CONT")
    await_full_credit(name)
  end

  defp went_on_or_down?({:ok, %{"options" => _options}}), do: true
  defp went_on_or_down?({:error, %Error{code: code}}), do: code == :engine_down

  # Between two looks for credit.
  defp waits?(pid) do
    {:current_stacktrace, frames} = Process.info(pid, :current_stacktrace)
    Enum.any?(frames, fn {module, function, _arity, _where} -> {module, function} == {Writer, :wait} end)
  end
end
