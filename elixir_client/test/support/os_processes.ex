defmodule Graphport.OsProcesses do
  # Which processes of the machine belong to a test: all that have, in their environment, a text that only this test
  # knows. Children inherit it, whoever their parents are by now, so nothing that is left behind goes unseen. Linux.
  @moduledoc false

  alias Graphport.Port.OsProcess

  @doc "The ids of all processes, but zombies, whose environment has this text in it."
  @spec marked(String.t()) :: [pos_integer]
  def marked(mark) do
    for entry <- File.ls!("/proc"),
        {os_pid, ""} <- [Integer.parse(entry)],
        {:ok, environment} <- [File.read("/proc/#{entry}/environ")],
        String.contains?(environment, mark),
        OsProcess.start_time(os_pid) != nil,
        do: os_pid
  end

  @doc "Kills one with SIGKILL, now, if it is alive."
  @spec kill(pos_integer) :: :ok
  def kill(os_pid), do: OsProcess.kill(os_pid, OsProcess.start_time(os_pid))
end
