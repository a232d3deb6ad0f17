defmodule Graphport.Aside do
  # Runs a function in a process of its own and waits for it, so that nothing which comes late stays in the caller's
  # mailbox: no reply, and, unlike with a linked task, no exit either. Called while an instance starts.
  @moduledoc false

  @doc "What the function returned, why its process ended instead, or `nil` if it took longer; it is then killed."
  @spec run((() -> result), timeout) :: {:ok, result} | {:exit, term} | nil when result: term
  def run(function, timeout) do
    {pid, monitor} = spawn_monitor(fn -> exit({__MODULE__, function.()}) end)

    receive do
      {:DOWN, ^monitor, :process, ^pid, {__MODULE__, result}} -> {:ok, result}
      {:DOWN, ^monitor, :process, ^pid, reason} -> {:exit, reason}
    after
      timeout ->
        Process.demonitor(monitor, [:flush])
        Process.exit(pid, :kill)
        nil
    end
  end
end
