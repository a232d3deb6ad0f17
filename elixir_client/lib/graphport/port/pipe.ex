defmodule Graphport.Port.Pipe do
  # Opens the Erlang port of an engine: which program, which options, where its last words go. Called by the engine
  # owner, who becomes the port's owner.
  #
  # A shell sets up the descriptors and then becomes the engine (`exec`), so the engine is the port's child. Its
  # standard input is empty: an engine must not read the BEAM's terminal. What it prints before it has its own log in
  # place, or in its last moments, goes to a file that `last_words/1` reads, and not to the BEAM's terminal either.
  @moduledoc false

  require Graphport.Wire.Limits

  alias Graphport.Port.{Erlport, OsProcess, Python}
  alias Graphport.Wire.Limits

  @shell "umask=$(umask); umask 077; exec </dev/null >>\"$0\" 2>&1; umask \"$umask\"; exec \"$@\""
  @last_words_bytes 2_000

  @type command :: %{
          optional(:transport) => :port | :erlport,
          executable: String.t(),
          nodes: [String.t()],
          python_path: [String.t()]
        }

  @typedoc "An Erlang port, or ErlPort's process in its place."
  @type wire :: port | pid

  @type t :: %{port: wire, os_pid: pos_integer, start_time: OsProcess.start_time(), words: Path.t() | nil}

  @spec open(command) :: {:ok, t} | {:error, term}
  def open(%{transport: :erlport} = command), do: Erlport.open(command)

  def open(command) do
    words =
      Path.join(System.tmp_dir!(), "graphport-#{System.pid()}-#{System.unique_integer([:positive])}.err")

    engine = [command.executable, "-m", "graphport", "port" | Enum.flat_map(command.nodes, &["--nodes", &1])]

    options = [
      :binary,
      :nouse_stdio,
      :exit_status,
      {:packet, 4},
      {:busy_limits_port, Limits.port_busy_bytes()},
      {:busy_limits_msgq, :disabled},
      {:args, ["-c", @shell, words | engine]},
      {:env, for({name, value} <- env(command), do: {to_charlist(name), to_charlist(value)})}
    ]

    port = Port.open({:spawn_executable, "/bin/sh"}, options)
    os_pid = port |> Port.info() |> Keyword.fetch!(:os_pid)
    {:ok, %{port: port, os_pid: os_pid, start_time: OsProcess.start_time(os_pid), words: words}}
  rescue
    # No process, file or memory left for another program.
    error in ErlangError -> {:error, error.original}
    # The program was gone before it could be asked for its id.
    error in [FunctionClauseError, KeyError, ArgumentError] -> {:error, error}
  end

  # Large values are new memory, and most of their cost is the kernel's, page by page. With huge pages an engine that has
  # had the memory before takes values of 1 and 64 MiB three times as fast (glibc 2.36), for 1 MiB more of an idle one.
  defp env(command) do
    tunables =
      if System.get_env("GLIBC_TUNABLES"), do: [], else: [{"GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"}]

    tunables ++ Python.env(command.python_path)
  end

  @doc "Writes a frame. Raises `ArgumentError` if the wire is closed."
  @spec command(wire, iodata) :: term
  def command(port, frame) when is_port(port), do: :erlang.port_command(port, frame)
  def command(pid, frame), do: Erlport.command(pid, frame)

  @doc "Writes a frame unless the wire is so full that the writer would be suspended. Raises as `command/2`."
  @spec offer(wire, iodata) :: boolean
  def offer(port, frame) when is_port(port), do: :erlang.port_command(port, frame, [:nosuspend])

  def offer(pid, frame) do
    Erlport.command(pid, frame)
    true
  end

  @spec open?(wire) :: boolean
  def open?(port) when is_port(port), do: :erlang.port_info(port, :id) != :undefined
  def open?(pid), do: Process.alive?(pid)

  @doc "Bytes of frames that the wire has put out since it was opened; `nil` if it is closed or cannot tell."
  @spec output(wire) :: non_neg_integer | nil
  def output(port) when is_port(port) do
    with {:output, bytes} <- Port.info(port, :output), do: bytes
  end

  def output(_pid), do: nil

  @doc "Bytes of whole frames that the wire has taken in since it was opened; `nil` if it is closed or cannot tell."
  @spec input(wire) :: non_neg_integer | nil
  def input(port) when is_port(port) do
    with {:input, bytes} <- Port.info(port, :input), do: bytes
  end

  def input(_pid), do: nil

  @doc "Monitors the wire's end."
  @spec monitor(wire) :: reference
  def monitor(port) when is_port(port), do: :erlang.monitor(:port, port)
  def monitor(pid), do: Process.monitor(pid)

  @spec close(wire) :: true
  def close(port) when is_port(port) do
    Port.close(port)
  rescue
    # It was closed already.
    ArgumentError -> true
  end

  def close(pid), do: Erlport.close(pid)

  @doc "The reason of a wire's exit in words; `nil` if it says nothing."
  @spec why(wire, term) :: String.t() | nil
  def why(_wire, reason) when reason in [:normal, :epipe], do: nil
  def why(port, reason) when is_port(port), do: "port closed with #{inspect(reason)}"
  def why(_pid, reason), do: Erlport.why(reason)

  @doc "What the engine last printed past its own log."
  @spec last_words(t) :: String.t()
  def last_words(%{words: nil}), do: ""
  def last_words(pipe), do: OsProcess.tail(pipe.words, @last_words_bytes)

  @doc "Removes what engines of BEAMs that were killed have left on disk. May block."
  @spec sweep() :: :ok
  def sweep do
    if File.dir?("/proc/self") do
      for path <- Path.wildcard(Path.join(System.tmp_dir!(), "graphport-*-*.err")),
          ["graphport", beam, _number] <- [path |> Path.basename(".err") |> String.split("-")],
          not File.exists?("/proc/" <> beam),
          do: File.rm(path)
    end

    :ok
  end

  @doc "Kills what is still alive of the engine, its children too, and removes what `open/1` left on disk. May block."
  @spec bury(t) :: :ok
  def bury(pipe) do
    OsProcess.kill(pipe.os_pid, pipe.start_time)
    if pipe.words, do: File.rm(pipe.words)
    :ok
  end
end
