defmodule Graphport.Port.Erlport do
  # The second door: an engine inside a Python process that the app's own ErlPort starts. ErlPort's process stands where
  # the Erlang port would. It is asked to serve once; then frames go to it by `python:cast`, and come from Python as
  # `{pid, {:data, frame}}`, the same shape that a port's messages have. Called by `Pipe` only.
  #
  # What this door cannot do: a frame passes through ErlPort's process, so it waits behind whatever that does; credit that
  # a killed writer leaked is not found again before the next epoch; there are no last words of a crash.
  #
  # ErlPort is found at run time: it is no dependency.
  @moduledoc false

  alias Graphport.Error
  alias Graphport.Port.OsProcess

  @python :python
  @module :"graphport.erlport"

  @doc "Whether the app has ErlPort."
  @spec check() :: :ok | {:error, Error.t()}
  def check do
    if Code.ensure_loaded?(@python) and function_exported?(@python, :start, 1) do
      :ok
    else
      text =
        "transport: :erlport needs the Erlang application ErlPort, whose module :python is not there. " <>
          "Add {:erlport, \"~> 0.11\"} to the dependencies of the app, or leave the option out."

      {:error, Error.new(:erlport_not_found, text)}
    end
  end

  @doc "Starts a Python process, linked to the calling process, and has it serve. Blocks while ErlPort asks Python for its version."
  @spec open(map) :: {:ok, map} | {:error, term}
  def open(command) do
    # Not `start_link`: of a start that fails the exit signal would come some time later, from a process nobody knows.
    with {:ok, pid} <- apply(@python, :start, [options(command)]) do
      Process.link(pid)
      apply(@python, :call, [pid, @module, :serve, [self(), pid, command.nodes], [:async]])
      pipe(pid, os_pid(pid))
    end
  end

  @doc "ErlPort's options for an engine. It refuses an empty list of paths."
  @spec options(map) :: [atom | {atom, term}]
  def options(command) do
    paths = for path <- command.python_path, do: path |> Path.expand() |> to_charlist()
    given = [:nouse_stdio, packet: 4, python: to_charlist(command.executable)]
    if paths == [], do: given, else: given ++ [python_path: paths]
  end

  defp pipe(pid, nil) do
    close(pid)
    {:error, "ErlPort's process ended at once"}
  end

  defp pipe(pid, os_pid),
    do: {:ok, %{port: pid, os_pid: os_pid, start_time: OsProcess.start_time(os_pid), words: nil}}

  @doc "Has ErlPort's process write a frame. Raises `ArgumentError` if it is gone, as a closed port does."
  @spec command(pid, iodata) :: :ok
  def command(pid, frame) do
    # Rows are inserted before the write and swept after the process has ended: one that is alive here is early enough.
    unless Process.alive?(pid), do: raise(ArgumentError, "ErlPort's process is gone")
    apply(@python, :cast, [pid, IO.iodata_to_binary(frame)])
  end

  @doc "Ends ErlPort's process, and its port with it, even if it is held up in a write."
  @spec close(pid) :: true
  def close(pid) do
    Process.unlink(pid)
    Process.exit(pid, :kill)

    receive do
      {:EXIT, ^pid, _reason} -> true
    after
      0 -> true
    end
  end

  @doc "Why ErlPort's process ended, in words."
  @spec why(term) :: String.t()
  def why({:port_closed, {:code, status}}), do: "exit status #{status}"
  def why({:async_call_error, {:python, class, text, _trace}}), do: "#{class}: #{to_string(text)}"
  def why(reason), do: "ErlPort's process ended with #{inspect(reason)}"

  # The only way to learn it without asking Python.
  defp os_pid(pid) do
    with {:links, links} <- Process.info(pid, :links),
         port when port != nil <- Enum.find(links, &is_port/1),
         {:os_pid, os_pid} <- Port.info(port, :os_pid) do
      os_pid
    else
      _gone -> nil
    end
  end
end
