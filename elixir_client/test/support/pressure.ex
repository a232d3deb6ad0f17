defmodule Graphport.Pressure do
  # For tests of the write side: fill the pipe of an engine that does not read, look at its credit, and see whether any
  # process was ever suspended by it. The engine is stopped with SIGSTOP, so that its Python can do nothing about it.
  @moduledoc false

  import ExUnit.Assertions

  alias Graphport.{Case, Instance}
  alias Graphport.Port.{Credit, Writer}
  alias Graphport.Wire.Messages

  @doc "Epoch, port and credit of an instance's only engine."
  def pipe(name) do
    {:ok, instance} = Instance.fetch(name)
    [{0, :up, epoch, port, credit, _facts}] = :ets.lookup(instance.engines, 0)
    {epoch, port, credit}
  end

  @doc "Stops the engine's OS process, and waits until it has stopped."
  def stop(os_pid) do
    Case.signal(os_pid, "STOP")
    Case.eventually(fn -> File.read!("/proc/#{os_pid}/stat") =~ ") T " end)
  end

  @doc "Frames and bytes that the credit counts as unread."
  def unread(name) do
    {_epoch, _port, credit} = pipe(name)
    Credit.unread(credit)
  end

  @doc "Waits until the engine has read all that was written and the credit is as at the start."
  def await_full_credit(name) do
    Case.eventually(
      fn ->
        unread(name) == {0, 0} or
          (
            {_epoch, port, credit} = pipe(name)
            _ = Writer.try_write(port, credit, Messages.ping(1), :reserve)
            false
          )
      end,
      20_000
    )
  end

  @doc "Demands a node without waiting for credit, until there is none. How many were written."
  def fill(session, node, written \\ 0) do
    case Graphport.demand_async(session, node, timeout: 0) do
      {:ok, _demand} -> fill(session, node, written + 1)
      {:error, error} -> {written, error}
    end
  end

  @doc """
  Runs a function while one process looks, again and again, whether the owner is suspended, and another whether the VM
  says that anybody was suspended by the port. Asserts that neither saw it. One at a time: the VM has one such monitor.
  """
  def without_suspension(name, function) do
    {_epoch, port, _credit} = pipe(name)
    owner = Case.owner(name)
    looker = Task.async(fn -> look(owner, 0) end)
    monitor = Task.async(fn -> monitored() end)
    :erlang.system_monitor(monitor.pid, [:busy_port, :busy_dist_port])

    try do
      result = function.()
      send(looker.pid, :enough)
      assert {:never_suspended, looked} = Task.await(looker)
      assert looked > 100
      send(monitor.pid, :enough)
      assert for({_pid, what, ^port} = seen <- Task.await(monitor), do: {what, seen}) == []
      result
    after
      :erlang.system_monitor(:undefined)
    end
  end

  defp look(owner, looked) do
    receive do
      :enough -> {:never_suspended, looked}
    after
      0 ->
        case Process.info(owner, :status) do
          {:status, :suspended} -> {:suspended, looked}
          {:status, _other} -> look(owner, looked + 1)
        end
    end
  end

  defp monitored(seen \\ []) do
    receive do
      {:monitor, pid, what, port} -> monitored([{pid, what, port} | seen])
      :enough -> seen
    end
  end
end
