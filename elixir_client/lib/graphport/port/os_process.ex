defmodule Graphport.Port.OsProcess do
  # What must be known and done about an engine's OS process: whether the process of an id is still the one meant
  # (ids are used again), and killing it. Called by the janitor, and by the owner for an engine that hangs.
  @moduledoc false

  @type start_time :: String.t() | nil

  @doc "Something that tells this process from a later one of the same id; `nil` if there is none."
  @spec start_time(pos_integer) :: start_time
  def start_time(os_pid) do
    case read_head("/proc/#{os_pid}/stat", 4_096) do
      {:ok, stat} -> from_stat(stat)
      :error -> if File.dir?("/proc/self"), do: nil, else: from_ps(os_pid)
    end
  end

  @doc "Whether the process that started then is still alive. A zombie is not."
  @spec alive?(pos_integer, start_time) :: boolean
  def alive?(os_pid, start_time), do: start_time != nil and start_time(os_pid) == start_time

  @doc """
  Kills the process, and what it has left behind in its process group, with SIGKILL, unless its id is somebody else's by
  now. Blocks for a few milliseconds.

  Whoever is started by a port leads a group of its own: children belong to it, whether they outlive it or not, but for
  those that leave it themselves.
  """
  @spec kill(pos_integer, start_time) :: :ok
  def kill(_os_pid, nil), do: :ok

  def kill(os_pid, start_time) do
    # The shell's own `kill`: small images have no /bin/kill.
    if start_time(os_pid) in [start_time, nil],
      do: System.cmd("/bin/sh", ["-c", "kill -9 \"$0\" \"-$0\" 2>/dev/null", Integer.to_string(os_pid)])

    :ok
  end

  @doc "Memory of a process that is in RAM, in bytes; 0 if that is not known."
  @spec memory_bytes(pos_integer | nil) :: non_neg_integer
  def memory_bytes(nil), do: 0

  def memory_bytes(os_pid) do
    with {:ok, status} <- read_head("/proc/#{os_pid}/status", 4_096),
         [_line, kib] <- Regex.run(~r/^VmRSS:\s+(\d+) kB$/m, status) do
      String.to_integer(kib) * 1_024
    else
      _unknown -> 0
    end
  end

  @doc "The last bytes of a file, as text, without the file server; \"\" if it cannot be read."
  @spec tail(Path.t(), pos_integer) :: String.t()
  def tail(path, bytes) do
    case read(path, bytes, fn file -> {:eof, -min(bytes, size(file))} end) do
      {:ok, text} -> printable(text)
      :error -> ""
    end
  end

  defp size(file) do
    {:ok, bytes} = :file.position(file, :eof)
    bytes
  end

  # Opened raw: no message to the file server, which might be busy with a slow disk.
  defp read_head(path, bytes), do: read(path, bytes, fn _file -> :cur end)

  defp read(path, bytes, from) do
    with {:ok, file} <- :file.open(path, [:read, :raw, :binary]) do
      {:ok, _at} = :file.position(file, from.(file))
      read = :file.read(file, bytes)
      :file.close(file)
      if match?({:ok, _}, read), do: read, else: :error
    else
      {:error, _reason} -> :error
    end
  end

  # `pid (any name) state ppid …`: the 22nd field is the start time in clock ticks since boot.
  defp from_stat(stat) do
    [state | fields] = stat |> String.split(")") |> List.last() |> String.split()
    if state in ["Z", "X"], do: nil, else: Enum.at(fields, 18)
  end

  defp from_ps(os_pid) do
    case System.cmd("ps", ["-o", "stat=,lstart=", "-p", Integer.to_string(os_pid)]) do
      {"Z" <> _zombie, 0} -> nil
      {text, 0} -> text |> String.split() |> Enum.drop(1) |> Enum.join(" ")
      _gone -> nil
    end
  end

  defp printable(text) do
    text |> String.chunk(:valid) |> Enum.filter(&String.valid?/1) |> Enum.join() |> String.trim()
  end
end
