defmodule Graphport.FaultStates do
  # What an engine may be doing when something is killed. `enter/4` brings it there, for certain: it returns when a node
  # has left its mark, or when what was written cannot have been read to its end. Used by the tests in `test/faults`, in
  # their own BEAM and in one that is killed, and by `scripts/benchmarks/life.exs`.
  @moduledoc false

  alias Graphport.{Instance, OsProcesses}

  @big 64 * 1_048_576
  @nodes [
    sleep: "sleeps-long",
    loop: "loops",
    interpreter_held: "holds-the-interpreter",
    half_a_frame: "writes-half-a-frame",
    fork: "forks-twice",
    program: "starts-a-program"
  ]
  @waits "forever"
  @answer Path.expand("../../examples/answer.json", __DIR__)

  @doc "All of them."
  @spec all :: [atom]
  def all, do: [:idle, :stopped, :upload, :download | Keyword.keys(@nodes)]

  @doc "The modules of nodes that an engine needs."
  @spec modules :: [String.t()]
  def modules, do: ["graphport_test_nodes", "graphport_fault_nodes"]

  @doc "The graph: `after` answers at once, `forever` never."
  @spec graph(Path.t()) :: map
  def graph(folder) do
    faults =
      for {state, type} <- @nodes, do: %{id: "#{state}", type: type, data: %{marker: marker(folder, state)}}

    plain = for type <- ["same", "zeros", @waits], do: %{id: type, type: type, data: %{}}
    %{nodes: [%{id: "after", type: "text-input", data: %{text: "after"}} | faults ++ plain], edges: []}
  end

  @typedoc """
  `open`: tags of demands of the calling process that are open; `children`: OS processes that must end with the
  engine; `programs`: those that need not; `resume`: processes of the BEAM to be resumed after the kill.
  """
  @type entered :: %{open: [term], children: [pos_integer], programs: [pos_integer], resume: [pid]}

  @doc "Brings an instance with one engine into a state. `:generating`, which needs the small model, is not one of `all/0`."
  @spec enter(atom, atom, Graphport.Session.t(), Path.t()) :: entered
  def enter(:idle, _name, _session, _folder), do: entered([])

  def enter(:generating, name, _session, _folder) do
    session = Graphport.open!(name, {:file, @answer})
    inputs = %{"llm" => %{"max_tokens" => 1_500}, "prompt" => %{"text" => "Count from one to a thousand."}}
    {:ok, _demand} = Graphport.demand_async(session, "answer", inputs: inputs, tag: :generating)
    receive(do: ({:graphport, :generating, {:node_stream, "llm", _chunk}} -> entered([:generating])))
  end

  def enter(:stopped, name, session, _folder) do
    waits = waits(session)
    stop(name)
    entered([waits])
  end

  # The engine reads nothing, so most of it is neither written nor read.
  def enter(:upload, name, session, _folder) do
    waits = waits(session)
    stop(name)
    me = self()
    value = Graphport.bytes(:binary.copy(<<7>>, @big))

    spawn(fn ->
      options = [inputs: %{"same" => %{"value" => value}}, to: me, tag: :upload]

      with {:error, error} <- Graphport.demand_async(session, "same", options),
           do: send(me, {:graphport, :upload, {:demand_error, "same", error}})
    end)

    eventually(fn -> engine(name).unread_bytes > 1_500_000 end)
    entered([waits, :upload])
  end

  # The owner reads nothing, so the engine is soon out of its window.
  def enter(:download, name, session, _folder) do
    waits = waits(session)
    owner = Process.whereis(Instance.owner(name, 0))
    :sys.suspend(owner)
    inputs = %{"zeros" => %{"size" => @big}}
    {:ok, _demand} = Graphport.demand_async(session, "zeros", inputs: inputs, tag: :download)
    eventually(fn -> match?({_, parts} when parts > 4, Process.info(owner, :message_queue_len)) end)
    %{entered([waits, :download]) | resume: [owner]}
  end

  def enter(state, _name, session, folder) do
    waits = waits(session)
    {:ok, _demand} = Graphport.demand_async(session, "#{state}", tag: state)
    marker = marker(folder, state)
    eventually(fn -> File.exists?(marker) end)
    os_pids = marker |> File.read!() |> String.split() |> Enum.map(&String.to_integer/1)
    entered = entered([waits, state])
    if state == :program, do: %{entered | programs: os_pids}, else: %{entered | children: os_pids}
  end

  @doc "What follows the kill, so that whoever is left can go on."
  @spec leave(entered) :: :ok
  def leave(entered) do
    for pid <- entered.resume, Process.alive?(pid), do: resume(pid)
    :ok
  end

  @doc "Ends what may outlive an engine."
  @spec clean(entered) :: :ok
  def clean(entered), do: Enum.each(entered.programs, &OsProcesses.kill/1)

  @doc "Waits until a condition holds."
  @spec eventually((() -> as_boolean(term)), integer) :: :ok
  def eventually(condition, left_ms \\ 20_000) do
    cond do
      condition.() -> :ok
      left_ms <= 0 -> raise "the condition did not come to hold"
      true -> receive(after: (2 -> eventually(condition, left_ms - 2)))
    end
  end

  defp resume(pid) do
    :sys.resume(pid)
  catch
    :exit, _ended_meanwhile -> :ok
  end

  defp entered(open), do: %{open: open, children: [], programs: [], resume: []}

  # A demand that never ends by itself, and has begun.
  defp waits(session) do
    {:ok, _demand} = Graphport.demand_async(session, @waits, tag: :waits, events: true)

    for {node, event} <- [{"", "planned"}, {@waits, "started"}] do
      receive do
        {:graphport, :waits, {:node_event, ^node, %{"event" => ^event}}} -> :waits
      end
    end

    :waits
  end

  defp stop(name) do
    os_pid = engine(name).os_pid
    {"", 0} = System.cmd("/bin/sh", ["-c", "kill -STOP $0", Integer.to_string(os_pid)])
  end

  defp engine(name) do
    {:ok, %{engines: [engine]}} = Graphport.info(name)
    engine
  end

  defp marker(folder, state), do: Path.join(folder, "#{state}.there")
end
