defmodule Graphport.Faults.OwnerNeverSuspendedTest do
  # A port that is busy suspends whoever writes to it. Here Python reads nothing, many write whatever can be written, and
  # neither the engine's owner nor any writer is suspended. Not async: the VM has one monitor for busy ports.
  use Graphport.Case, async: false

  import Graphport.Pressure

  alias Graphport.{Caller, Error, Instance}

  @writers_of_a_kind 6

  test "while an engine reads nothing and many write, the owner answers, and all end once it reads", %{
    name: name
  } do
    start_peer(name, hang_timeout: 600_000)
    {:ok, session} = Graphport.open(name, %{})
    {:ok, open} = Graphport.demand_async(session, "silent")
    os_pid = os_pid(name)
    stop(os_pid)

    without_suspension(name, fn ->
      parent = self()
      # Those with much to write come first, or the frames are gone before the bytes.
      writers =
        Enum.flat_map([1, 0, 2, 3], fn kind ->
          writers =
            for _ <- 1..@writers_of_a_kind,
                do: Task.async(fn -> writer(kind, session, open, parent) end)

          for %{pid: pid} <- writers, do: assert_receive({:refused, ^pid}, 20_000)
          writers
        end)

      # All of them are still at it while the owner is asked, again and again.
      for _ <- 1..100, do: assert(answers?(owner(name)))
      for %{pid: pid} <- writers, do: send(pid, :enough)
      for %{pid: pid} <- writers, do: assert_receive({:ready_for_answers, ^pid}, 20_000)

      {_epoch, port, _credit} = pipe(name)
      assert {:queue_size, queued} = :erlang.port_info(port, :queue_size)
      assert queued in 1_000_000..2_200_000
      assert answers?(owner(name))

      signal(os_pid, "CONT")
      written = writers |> Task.await_many(60_000) |> Enum.sum()
      assert written > 0
    end)

    assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
    await_full_credit(name)
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    assert mailbox() == []
  end

  test "a pipe that is full beyond all credit does not suspend its owner, though it has credit to give", %{
    name: name
  } do
    start_peer(name, hang_timeout: 1_000)
    {:ok, session} = Graphport.open(name, %{})
    {_epoch, port, _credit} = pipe(name)
    os_pid = os_pid(name)
    {:ok, _demand} = Graphport.demand_async(session, "floods_unread:8")
    eventually(fn -> File.read!("/proc/#{os_pid}/stat") =~ ") T " end)

    # A stranger who holds the port writes without credit, and is suspended, as everybody is who does so.
    stranger = spawn(fn -> for _ <- 1..64, do: Port.command(port, :binary.copy(<<0>>, 262_144)) end)
    eventually(fn -> Process.info(stranger, :status) == {:status, :suspended} end)

    # What comes has to be credited after every 256 KiB; the owner goes on nonetheless, and sees the silence after it.
    signal(os_pid, "CONT")
    for _ <- 1..8, do: assert_receive({:node_stream, "floods_unread:8", _chunk}, 5_000)
    assert_receive {:demand_error, "floods_unread:8", %Error{code: :engine_down, message: text}}, 20_000
    assert text =~ "said nothing for 1000 ms"
    assert {:ok, %{}} = Graphport.demand(session, "echo")
  end

  # Asks what only the owner itself can answer.
  defp answers?(owner) do
    send(owner, {:await, self()})
    assert_receive {:engine_up, _epoch}, 20_000
    true
  end

  # Each kind writes until told that it is enough, and then waits for what it was promised.
  defp writer(kind, session, open, parent), do: write(kind, session, open, parent, 0)

  defp write(kind, session, open, parent, written) do
    receive do
      :enough ->
        send(parent, {:ready_for_answers, self()})
        for _ <- 1..written//1, do: assert_receive({:demand_complete, _node, %{}}, 50_000)
        written
    after
      0 ->
        case write_one(kind, session, open) do
          :written ->
            write(kind, session, open, parent, written + 1)

          :refused ->
            if Process.put(:refused, true) == nil, do: send(parent, {:refused, self()})
            write(kind, session, open, parent, written)
        end
    end
  end

  defp write_one(0, session, _open), do: demanded(Graphport.demand_async(session, "echo", timeout: 5))

  defp write_one(1, session, _open) do
    inputs = %{"sizes" => %{"text" => String.duplicate("x", 600_000)}}
    demanded(Graphport.demand_async(session, "sizes", inputs: inputs, timeout: 5))
  end

  # Without credit it is the janitor who goes on trying.
  defp write_one(2, _session, open) do
    :ok = Graphport.cancel(open)
    receive after: (1 -> :refused)
  end

  defp write_one(3, session, open) do
    {:ok, instance} = Instance.fetch(session.instance)

    case Caller.grant(instance, open.ref, 1) do
      :ok -> receive after: (1 -> :refused)
      :overloaded -> receive after: (1 -> :refused)
    end
  end

  defp demanded({:ok, _demand}), do: :written
  defp demanded({:error, %Error{code: :overloaded}}), do: :refused
end
