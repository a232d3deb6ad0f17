defmodule Graphport.Hostile do
  # Has an instance start hostile programs in the place of its engine: which one at which start, what is left of them
  # afterwards, and who must still be there. Used by `test/faults`.
  #
  # The instance's `python:` is a shell script that answers the question for a Python itself, counts its starts and
  # becomes the program whose turn it is. Every process that descends from a start has its folder and number in the
  # environment, whatever group, session or parent it may have given itself.
  @moduledoc false

  import ExUnit.Assertions

  alias Graphport.Case, as: Peer
  alias Graphport.Ledger

  @folder Path.expand("hostile", __DIR__)
  @peer Path.expand("peer", __DIR__)
  # What an engine's owner may hold once a fault is over.
  @owner_bytes 32 * 1024 * 1024

  @doc "The names of all programs."
  def programs,
    do: @folder |> Path.join("programs/*") |> Path.wildcard() |> Enum.map(&Path.basename/1) |> Enum.sort()

  @doc "A script that becomes the programs in turn, the last of them ever after; `:peer` is the good engine. In a new folder."
  def script(programs) do
    folder = Path.join(System.tmp_dir!(), "hostile-#{System.pid()}-#{System.unique_integer([:positive])}")
    File.mkdir_p!(folder)
    ExUnit.Callbacks.on_exit(fn -> File.rm_rf!(folder) end)
    peer = Path.join(folder, "peer")
    write(peer, "exec #{quoted(Peer.python())} -S -B \"$@\"\n")

    turns =
      for {program, turn} <- Enum.with_index(programs, 1) do
        number = if turn == length(programs), do: "*", else: turn
        "#{number}) exec #{command(program, folder, peer)} \"$@\" ;;\n"
      end

    script = Path.join(folder, "python")

    write(script, """
    if [ "$1" = -c ]; then printf '%s\\nyes\\nTrue\\n' "$0"; exit; fi
    echo >> #{quoted(folder)}/starts
    export HOSTILE_FOLDER=#{quoted(folder)} HOSTILE_START=$(wc -l < #{quoted(folder)}/starts) HOSTILE_PEER=#{quoted(peer)}
    export PYTHONPATH=#{quoted(@peer)}:#{quoted(@folder)}
    case $HOSTILE_START in
    #{turns}esac
    """)

    script
  end

  @doc "Starts an instance whose engines are these programs in turn; the script that becomes them."
  def start(name, programs, options \\ []) do
    script = script(programs)
    ExUnit.Callbacks.start_supervised!({Graphport, Keyword.merge([name: name, python: script], options)})
    script
  end

  @doc """
  Has the first program of the script set off by a demand for "go", and asserts what must become of an engine that is
  no use: each demand has one `engine_down`, with a part of the reason, and the second program works.
  """
  def assert_engine_replaced(name, script, why) do
    pillars = pillars(name)
    ledger = Ledger.open(name)
    Ledger.demand(ledger, "go")
    Ledger.await(ledger, ["go"])
    # The session's own reopening may meet with an engine that a busy machine has made late.
    Peer.eventually(fn -> match?({:ok, _}, Graphport.demand(ledger.session, "echo", timeout: 20_000)) end)
    Ledger.await(ledger)
    Ledger.assert_all(ledger, :engine_down, ["go"])
    assert Ledger.why(ledger, "go") =~ why
    assert pillars(name) == pillars
    assert_owner_small(name)
    assert_buried(script, 1)
    :ok = ExUnit.Callbacks.stop_supervised({Graphport, name})
    assert_buried(script)
  end

  @doc "Asserts that an engine's owner holds little, and that little waits for it."
  def assert_owner_small(name) do
    owner = Peer.owner(name)
    {:memory, bytes} = Process.info(owner, :memory)
    assert bytes < @owner_bytes
    {:message_queue_len, waiting} = Process.info(owner, :message_queue_len)
    assert waiting < 100
  end

  @doc "How often the script was started as an engine."
  def starts(script), do: script |> Path.dirname() |> Path.join("starts") |> File.read!() |> byte_size()

  @doc "The OS processes that descend from a start of the script, or from any."
  def processes(script, start \\ nil) do
    wanted = ["HOSTILE_FOLDER=#{Path.dirname(script)}"] ++ if(start, do: ["HOSTILE_START=#{start}"], else: [])

    for path <- Path.wildcard("/proc/[0-9]*/environ"),
        {:ok, environment} <- [File.read(path)],
        wanted -- String.split(environment, <<0>>) == [],
        do: path |> Path.dirname() |> Path.basename() |> String.to_integer()
  end

  @doc "Waits until nothing descends from a start of the script, or from any."
  def assert_buried(script, start \\ nil) do
    Peer.eventually(fn -> processes(script, start) == [] end)
  end

  @doc "The processes of an instance that no engine may end."
  def pillars(name) do
    children = below(Process.whereis(name))
    assert length(children) >= 8
    children
  end

  # Sessions come and go.
  defp below(supervisor) do
    for {id, pid, type, [module]} <- Supervisor.which_children(supervisor), module != DynamicSupervisor do
      if type == :supervisor and module != Task.Supervisor, do: [{id, pid} | below(pid)], else: [{id, pid}]
    end
    |> List.flatten()
    |> Enum.sort()
  end

  @doc "Compiles the programs in C into a folder that lives as long as the BEAM."
  def compile do
    folder = Path.join(System.tmp_dir!(), "hostile-#{System.pid()}-compiled")
    File.mkdir_p!(folder)
    gcc = System.find_executable("gcc") || flunk("gcc is needed to build the hostile programs")

    for program <- programs(), Path.extname(program) == ".c", not File.exists?(Path.join(folder, program)) do
      # Somebody else may be compiling, or running, the same one.
      made = Path.join(folder, "#{program}.#{System.unique_integer([:positive])}")
      source = Path.join([@folder, "programs", program])

      {text, status} =
        System.cmd(gcc, ~w(-O1 -Wall -Wextra -Werror -I #{@folder} -o #{made} #{source}),
          stderr_to_stdout: true
        )

      assert status == 0, text
      File.rename!(made, Path.join(folder, program))
    end

    folder
  end

  defp command(:peer, _folder, peer), do: quoted(peer)

  defp command(program, _folder, _peer) do
    path = Path.join([@folder, "programs", program])

    case Path.extname(program) do
      ".py" -> "#{quoted(Peer.python())} -S -B #{quoted(path)}"
      ".sh" -> quoted(path)
      ".c" -> quoted(Path.join(compile(), program))
    end
  end

  defp write(path, text) do
    File.write!(path, "#!/bin/sh\n" <> text)
    File.chmod!(path, 0o755)
  end

  defp quoted(text), do: "'#{String.replace(text, "'", "'\\''")}'"
end
