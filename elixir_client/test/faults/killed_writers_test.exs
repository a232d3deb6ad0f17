defmodule Graphport.Faults.KilledWritersTest do
  # Whoever is killed between taking credit and writing takes it along. Here writers are killed wherever the VM happens to
  # take them off the processor on their way to the pipe, and in the end there is as much credit as at the start.
  use Graphport.Case, async: true

  import Graphport.Pressure

  alias Graphport.{Caller, Instance}
  alias Graphport.Port.{Credit, Pipe}

  # What a process may do before others get the processor; a writer needs less than the second figure for a demand.
  @slice 4_000
  @write 400
  @at_once 100

  test("2,000 killed writers leave the credit as it was", %{name: name}, do: kill_writers(name, 2_000, 1))

  @tag :slow
  @tag timeout: 300_000
  test("100,000 killed writers leave the credit as it was", %{name: name}, do: kill_writers(name, 100_000, 20))

  test "an engine whose whole credit was taken along is pinged, and not taken for a stuck one", %{name: name} do
    start_peer(name, hang_timeout: 500)
    {:ok, session} = Graphport.open(name, %{})
    os_pid = os_pid(name)
    {_epoch, _port, credit} = pipe(name)
    for _ <- 1..512, do: Credit.take(credit, 100, :reserve)
    refute Credit.take(credit, 1, :reserve)
    assert {:ok, %{}} = Graphport.demand(session, "echo")
    eventually(fn -> elem(unread(name), 0) < 16 end)
    assert os_pid(name) == os_pid
  end

  # In every so-manieth round the engine does not read, so that it can be seen what is missing.
  defp kill_writers(name, count, every) do
    start_peer(name, hang_timeout: 600_000)
    {:ok, session} = Graphport.open(name, %{})
    {:ok, open} = Graphport.demand_async(session, "silent")
    _ = :rand.seed(:exsss, {4, 2, count})
    os_pid = os_pid(name)

    leaked =
      for round <- 1..div(count, @at_once) do
        if rem(round, every) == 0 do
          stop(os_pid)
          kill_at_once(session, open)
          leaked = leaked(name)
          signal(os_pid, "CONT")
          await_full_credit(name)
          leaked
        else
          kill_at_once(session, open)
          0
        end
      end

    # Some did take credit along, or this test has shown nothing.
    assert Enum.sum(leaked) > 0
    await_full_credit(name)
    :ok = Graphport.cancel(open)
    assert_receive {:demand_error, "silent", _cancelled}, 5_000
    # Those who had no time to say that they are there are found by the next sweep.
    {:ok, instance} = Instance.fetch(name)
    send(instance.janitor, :sweep)
    eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
    assert {:ok, %{}} = Graphport.demand(session, "echo", timeout: 1_000)
    assert os_pid(name) == os_pid
  end

  defp kill_at_once(session, open) do
    writers =
      for n <- 1..@at_once do
        used = @slice - :rand.uniform(@write)
        spawn_monitor(fn -> write(rem(n, 4), session, open, used) end)
      end

    # Let each use up its first slice, in the midst of a write. The kill takes effect when it would have the next.
    :erlang.yield()
    for {pid, _monitor} <- writers, do: Process.exit(pid, :kill)
    for {pid, monitor} <- writers, do: assert_receive({:DOWN, ^monitor, :process, ^pid, _reason}, 10_000)
  end

  defp write(0, _session, open, used) do
    {:ok, instance} = Instance.fetch(open.session.instance)
    :erlang.bump_reductions(used)
    Caller.grant(instance, open.ref, 1)
  end

  defp write(_demand, session, _open, used) do
    :erlang.bump_reductions(used)
    Graphport.demand_async(session, "echo", timeout: 10_000)
  end

  # Counted as unread, and never written: the engine is stopped, so nothing else changes.
  defp leaked(name) do
    {_epoch, port, credit} = pipe(name)
    {_frames, bytes} = Credit.unread(credit)
    bytes - (Pipe.output(port) - :atomics.get(credit, 3))
  end
end
