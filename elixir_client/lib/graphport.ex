defmodule Graphport do
  @moduledoc """
  Runs workflow graphs: a Python process, the *engine*, evaluates the nodes, and any Elixir process demands their outputs.

  Start an instance in your supervision tree, open a graph, demand a node:

      children = [
        {Graphport, name: MyApp.Graphs, nodes: ["my_app_nodes"]}
      ]

      {:ok, session} = Graphport.open(MyApp.Graphs, {:file, "priv/graphs/answer.json"})
      {:ok, outputs} = Graphport.demand(session, "answer", timeout: 30_000)

  or let the messages come to you:

      {:ok, demand} = Graphport.demand_async(session, "answer", inputs: %{"prompt" => %{"text" => "Why?"}})

  ## Messages

  The process that called `demand_async/3` (or the one given as `to:`) receives

    * `{:node_stream, node, chunk}` - a piece of streamed output, in order, any number of times. Where a piece ends means
      nothing. Only the first streaming port of a node is sent; `stream: :all` sends all, with `{port, chunk}` as chunk;
    * then exactly one of
      * `{:demand_complete, node, outputs}` - `outputs` maps ports to values;
      * `{:demand_error, node, error}` - a `Graphport.Error`.

  Nothing follows the last message. It comes whatever happens: when the engine's process dies, every open demand gets
  `:engine_down`, which means that no answer came, not that the work was not done.

  ## Processes

  Nothing blocks a scheduler: the engine is an OS process behind an Erlang port. Callers write to it themselves and wait
  for nobody; one process per instance only routes what comes back. An engine that dies or hangs is replaced, and open
  sessions are loaded into the new one when they are next used. A caller that dies cancels its demands.

  ## Values

  Strings are text and must be UTF-8; wrap other binaries in `bytes/1`. Atoms are written as text, other than `nil`,
  `true`, `false` and the float values `:nan`, `:infinity` and `:neg_infinity`. Numbers of any size, lists, maps, tuples,
  `MapSet`, `Date`, `Time`, `NaiveDateTime` and `DateTime` (in UTC) arrive in Python as their counterparts and come back
  the same. Keys of maps that were atoms come back as strings; in Python `1`, `1.0` and `true` are one key.
  """

  alias Graphport.{Bytes, Caller, Demand, Error, GraphSource, Instance, Options, Session}
  alias Graphport.Instance.{Demands, SessionServer}
  alias Graphport.Port.Credit

  @type outputs :: %{optional(String.t()) => term}

  @doc """
  A child of a supervisor. The name is the id, so that one supervisor can have several.

      iex> Graphport.child_spec(name: MyApp.Graphs).id
      {Graphport, MyApp.Graphs}
  """
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(options) do
    %{
      id: {__MODULE__, Keyword.get(options, :name)},
      start: {__MODULE__, :start_link, [options]},
      type: :supervisor
    }
  end

  @doc """
  Starts an instance and waits until its engine is up.

  Fails with a `Graphport.Error` that says what to do: `:python_not_found`, `:engine_down` with what the engine printed,
  or `:invalid_nodes`. Later failures of the engine do not end the instance.

  ## Options

  #{Options.docs(:start_link)}
  """
  @spec start_link(keyword) :: {:ok, pid} | {:error, Error.t() | term}
  def start_link(options), do: :start_link |> Options.validate!(options) |> Instance.Supervisor.start_link()

  @doc """
  Loads a graph and returns a session.

  The graph is a map, `{:file, path}` or `{:json, text}`. One that cannot be loaded is `:invalid_graph`, with everything
  that is wrong with it in `error.details["faults"]`.

  ## Options

  #{Options.docs(:open)}
  """
  @spec open(atom, map | {:file, Path.t()} | {:json, String.t()}, keyword) ::
          {:ok, Session.t()} | {:error, Error.t()}
  def open(name, graph, options \\ []) when is_atom(name) do
    options = Options.validate!(:open, options)
    owner = if options.owner == :caller, do: self(), else: options.owner

    with {:ok, graph} <- GraphSource.load(graph),
         {:ok, instance} <- Instance.fetch(name) do
      SessionServer.open(instance, graph, owner, options.timeout)
    end
  end

  @doc "Like `open/3`, but returns the session or raises the `Graphport.Error`."
  @spec open!(atom, map | {:file, Path.t()} | {:json, String.t()}, keyword) :: Session.t()
  def open!(name, graph, options \\ []), do: name |> open(graph, options) |> unwrap!()

  @doc "Closes a session. Its open demands end as `:cancelled`. `:ok` also if it was closed already."
  @spec close(Session.t()) :: :ok
  def close(%Session{} = session), do: SessionServer.close(session)

  @doc """
  Demands the outputs of a node. The answer comes as messages, described above.

  Returns as soon as the demand is written. It waits only while the engine has too much unread (at most until the
  deadline, or 5 s), and then gives `:overloaded`.

  ## Options

  #{Options.docs(:demand_async)}
  """
  @spec demand_async(Session.t(), String.t(), keyword) :: {:ok, Demand.t()} | {:error, Error.t()}
  def demand_async(%Session{} = session, node, options \\ []) when is_binary(node),
    do: Caller.demand_async(session, node, Options.validate!(:demand_async, options))

  @doc """
  Demands the outputs of a node and waits for them.

  Only the caller waits, and nothing is left in its mailbox.

  ## Options

  #{Options.docs(:demand)}
  """
  @spec demand(Session.t(), String.t(), keyword) :: {:ok, outputs} | {:error, Error.t()}
  def demand(%Session{} = session, node, options \\ []) when is_binary(node),
    do: Caller.demand(session, node, Options.validate!(:demand, options))

  @doc "Like `demand/3`, but returns the outputs or raises the `Graphport.Error`."
  @spec demand!(Session.t(), String.t(), keyword) :: outputs
  def demand!(session, node, options \\ []), do: session |> demand(node, options) |> unwrap!()

  @doc """
  Asks for the end of a demand. Its last message is then `:cancelled`, or its outputs if they came first.

  `:ok` at once, also for a demand that has ended.
  """
  @spec cancel(Demand.t()) :: :ok
  def cancel(%Demand{} = demand), do: Caller.cancel(demand)

  @doc """
  Marks a binary as bytes: Python receives `bytes`, and not `str`. Bytes from Python are plain binaries.

      iex> Graphport.bytes(<<255, 0>>)
      %Graphport.Bytes{data: <<255, 0>>}
  """
  @spec bytes(binary) :: Bytes.t()
  def bytes(data) when is_binary(data), do: %Bytes{data: data}

  @doc """
  Facts about an instance: `:status` (`:up` or `:down`), `:os_pid` and `:version` of the engine, `:error` (why it is
  down), `:open_demands`, `:open_sessions`, and `:unread_frames` and `:unread_bytes`, which the engine has not read yet.
  """
  @spec info(atom) :: {:ok, map} | {:error, Error.t()}
  def info(name) when is_atom(name) do
    with {:ok, instance} <- Instance.fetch(name) do
      counts = %{
        open_demands: Demands.count(instance),
        open_sessions: DynamicSupervisor.count_children(instance.sessions).active
      }

      {:ok, Map.merge(counts, engine_facts(:ets.lookup(instance.engines, 0)))}
    end
  end

  defp engine_facts([{_index, :up, _epoch, _port, credit, facts}]) do
    {frames, bytes} = Credit.unread(credit)
    facts = %{os_pid: facts["os_pid"], version: facts["version"]}
    Map.merge(facts, %{status: :up, error: nil, unread_frames: frames, unread_bytes: bytes})
  end

  defp engine_facts([{_index, :down, error}]),
    do: %{status: :down, error: error, os_pid: nil, version: nil, unread_frames: 0, unread_bytes: 0}

  defp unwrap!({:ok, value}), do: value
  defp unwrap!({:error, error}), do: raise(error)
end
