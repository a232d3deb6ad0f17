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

  or read what is streamed, at your own pace:

      session |> Graphport.stream("answer") |> Enum.each(&IO.write/1)

  ## Messages

  The process that called `demand_async/3` (or the one given as `to:`) receives

    * `{:node_stream, node, chunk}` - a piece of streamed output, in order, any number of times. Where a piece ends means
      nothing. Only the first streaming port of a node is sent; `stream: :all` sends all, with `{port, chunk}` as chunk;
    * `{:node_event, node, event}` - what happens to a node, if `events: true` asked for it: see below;
    * then exactly one of
      * `{:demand_complete, node, outputs}` - `outputs` maps ports to values;
      * `{:demand_error, node, error}` - a `Graphport.Error`.

  Several nodes may be demanded at once: a list of ids, or `"*"` for all sinks (nodes that no edge leaves). `node` in the
  last message is then that list or `"*"`, and `outputs` maps node ids to their outputs. It is one demand: a node that
  fails is the end of it.

  With `tag: tag` each of them is `{:graphport, tag, message}`, so that a process with many demands can tell them apart;
  `tag: true` takes the `ref` of the `Graphport.Demand` as tag.

  Nothing follows the last message. It comes whatever happens: when the engine's process dies, every open demand gets
  `:engine_down`, which means that no answer came, not that the work was not done.

  ## Events

  An event is a map with string keys, `"event"` and what that kind says. More kinds and fields may come: ignore what you
  do not know.

  | `"event"` | of | more fields |
  |---|---|---|
  | `"planned"` | the demand, once, first; `node` is `""` | `"nodes"`: how many nodes it may need at most |
  | `"started"` | a node whose execution was begun or joined | |
  | `"progress"` | a node under way, as it tells | `"fraction"`: 0.0 to 1.0, or nil; `"text"` |
  | `"completed"` | a node | `"us"`: microseconds since `"started"` |
  | `"cached"`, `"skipped"` | a node that is not executed | |
  | `"failed"` | the node that ends the demand | `"code"`: that of the error, as text |

  ## Processes

  Nothing blocks a scheduler: an engine is an OS process behind an Erlang port. Callers write to it themselves and wait
  for nobody; one process per engine only routes what comes back. An engine that dies or hangs is replaced, and its
  sessions are loaded into another one when they are next used. A caller that dies cancels its demands.

  ## Values

  Strings are text and must be UTF-8; wrap other binaries in `bytes/1`. Atoms are written as text, other than `nil`,
  `true`, `false` and the float values `:nan`, `:infinity` and `:neg_infinity`. Numbers of any size, lists, maps, tuples,
  `MapSet`, `Date`, `Time`, `NaiveDateTime` and `DateTime` (in UTC) arrive in Python as their counterparts and come back
  the same. Keys of maps that were atoms come back as strings; in Python `1`, `1.0` and `true` are one key.
  """

  alias Graphport.{Bytes, Caller, Demand, DemandStream, Error, GraphSource, Instance, Options, Query, Session}
  alias Graphport.Instance.{Demands, Pool, SessionServer}

  @typedoc "Ports to values; for several nodes, node ids to maps of ports to values."
  @type outputs :: %{optional(String.t()) => term}

  @most_nodes 1_000

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
  Starts an instance and waits until its engines are up.

  Fails with a `Graphport.Error` that says what to do: `:python_not_found`, `:engine_down` with what the engine printed,
  or `:invalid_nodes`. Later failures of an engine do not end the instance.

  Only the first start waits and fails. Once an instance was up, a later start with the same options, as by a supervisor,
  succeeds at once even if Python is missing by then: the engines are tried again and again, `info/1` says why they are
  down, and sessions wait for them until their deadlines. So a Python that goes missing does not end the app.

  When it is stopped, new demands are refused as `:shutting_down`, and open ones may go on for `drain_timeout:`.

  ## Options

  #{Options.docs(:start_link)}
  """
  @spec start_link(keyword) :: {:ok, pid} | {:error, Error.t() | term}
  def start_link(options), do: :start_link |> Options.validate!(options) |> Instance.Supervisor.start_link()

  @doc """
  Loads a graph and returns a session.

  The graph is a map, `{:file, path}` or `{:json, text}`. One that cannot be loaded is `:invalid_graph`, with everything
  that is wrong with it in `error.details["faults"]`.

  A session that is to outlive its opener has no owner and a name, under which any process finds it:

      {:ok, _session} = Graphport.open(MyApp.Graphs, graph, owner: :none, name: {:answers, user_id})
      {:ok, session} = Graphport.session(MyApp.Graphs, {:answers, user_id})

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
      SessionServer.open(instance, graph, owner, options.name, options.timeout)
    end
  end

  @doc "Like `open/3`, but returns the session or raises the `Graphport.Error`."
  @spec open!(atom, map | {:file, Path.t()} | {:json, String.t()}, keyword) :: Session.t()
  def open!(name, graph, options \\ []), do: name |> open(graph, options) |> unwrap!()

  @doc """
  The open session that was given this name; `:unknown_session` if there is none.

  One that is still being loaded is found too: what is demanded of it waits for that.
  """
  @spec session(atom, term) :: {:ok, Session.t()} | {:error, Error.t()}
  def session(name, session_name) when is_atom(name) do
    with {:ok, instance} <- Instance.fetch(name), do: SessionServer.find(instance, session_name)
  end

  @doc """
  Closes a session. Its open demands end as `:cancelled`, its name is free. `:ok` also if it was closed already.
  """
  @spec close(Session.t()) :: :ok
  def close(%Session{} = session), do: SessionServer.close(session)

  @doc """
  Demands the outputs of a node, or of several. The answer comes as messages, described above.

  Returns as soon as the demand is written. It waits only while the engine has too much unread (at most until the
  deadline, or 5 s), and then gives `:overloaded`.

  ## Options

  #{Options.docs(:demand_async)}
  """
  @spec demand_async(Session.t(), Demand.target(), keyword) :: {:ok, Demand.t()} | {:error, Error.t()}
  def demand_async(session, node, options \\ []),
    do: Caller.demand_async(session!(session), target!(node), Options.validate!(:demand_async, options))

  @doc """
  Demands the outputs of a node, or of several, and waits for them.

  Only the caller waits, and nothing is left in its mailbox.

      {:ok, %{"text" => text}} = Graphport.demand(session, "answer")
      {:ok, %{"answer" => %{"text" => text}, "count" => %{"value" => 3}}} = Graphport.demand(session, ["answer", "count"])

  ## Options

  #{Options.docs(:demand)}
  """
  @spec demand(Session.t(), Demand.target(), keyword) :: {:ok, outputs} | {:error, Error.t()}
  def demand(session, node, options \\ []),
    do: Caller.demand(session!(session), target!(node), Options.validate!(:demand, options))

  @doc "Like `demand/3`, but returns the outputs or raises the `Graphport.Error`."
  @spec demand!(Session.t(), Demand.target(), keyword) :: outputs
  def demand!(session, node, options \\ []), do: session |> demand(node, options) |> unwrap!()

  @doc """
  What a node, or several, stream, as a lazy enumerable with back-pressure.

      session |> Graphport.stream("answer") |> Enum.each(&IO.write/1)

  The demand starts when the enumeration begins, in the process that enumerates; each enumeration is a demand of its
  own. Elements are the chunks (with `stream: :all`, `{port, chunk}`), or with `elements: :messages` the messages that
  `demand_async/3` would send, the last `{:demand_complete, node, outputs}` included. A demand that fails raises its
  `Graphport.Error` after the chunks that came before.

  At most `window:` chunks wait in the mailbox: a slow consumer slows the engine's nodes down, or has their text joined
  to fewer, longer chunks. A node that several demands share goes at the pace of the slowest of their consumers: do not
  wait, in the midst of a stream, for another demand of the same nodes. An enumeration that stops early, by `Enum.take/2`, an exception or the end of its process,
  cancels the demand, and nothing of it stays in the mailbox. Other messages are left alone. An enumeration that is
  suspended, as by `Stream.zip/2`, must go on in the process that began it.

  ## Options

  #{Options.docs(:stream)}
  """
  @spec stream(Session.t(), Demand.target(), keyword) :: Enumerable.t()
  def stream(session, node, options \\ []),
    do: DemandStream.new(session!(session), target!(node), Options.validate!(:stream, options))

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
  The node types that the engine knows, as maps with string keys: `"type"`, `"inputs"`, `"outputs"` and more.

      {:ok, [%{"type" => "text-input", "outputs" => outputs}]} = Graphport.nodes(MyApp.Graphs, type: "text-input")

  ## Options

  #{Options.docs(:nodes)}
  """
  @spec nodes(atom, keyword) :: {:ok, [map]} | {:error, Error.t()}
  def nodes(name, options \\ []) when is_atom(name), do: Query.nodes(name, Options.validate!(:nodes, options))

  @doc """
  Facts about an instance, as they are now.

    * `:status` - `:up`; `:degraded` if one of several engines is not up; `:down` if none is;
    * `:open_demands` (requests such as loading a graph included) and `:open_sessions`;
    * `:engines` - a list of maps, one for each engine:
      * `:index` - from 0;
      * `:status` - `:up`; `:draining`, which takes no more sessions in and is about to be replaced; `:down`;
      * `:os_pid` and `:version`, nil while it is down; `:error`, which says why it is;
      * `:restarts` - how often it was started anew;
      * `:sessions` - how many are loaded; `:open_demands`;
      * `:unread_frames` and `:unread_bytes` - what it has not read yet.
  """
  @spec info(atom) :: {:ok, map} | {:error, Error.t()}
  def info(name) when is_atom(name) do
    with {:ok, instance} <- Instance.fetch(name) do
      engines = Pool.facts(instance)

      {:ok,
       %{
         status: status(Enum.map(engines, & &1.status)),
         open_demands: Demands.count(instance),
         open_sessions: DynamicSupervisor.count_children(instance.sessions).active,
         engines: engines
       }}
    end
  rescue
    # Its tables are gone.
    ArgumentError -> stopping(name)
  catch
    :exit, _gone -> stopping(name)
  end

  defp stopping(name),
    do: {:error, Error.new(:shutting_down, "the Graphport instance #{inspect(name)} is stopping")}

  defp status(engines) do
    cond do
      Enum.all?(engines, &(&1 == :up)) -> :up
      Enum.all?(engines, &(&1 == :down)) -> :down
      true -> :degraded
    end
  end

  defp session!(%Session{} = session), do: session

  defp session!(other),
    do: raise(ArgumentError, "expected a session from Graphport.open/3, got: #{inspect(other)}")

  defp target!(node) when is_binary(node), do: node

  defp target!([_ | _] = nodes) do
    if length(nodes) <= @most_nodes and Enum.all?(nodes, &is_binary/1) and Enum.uniq(nodes) == nodes,
      do: nodes,
      else: wrong_target(nodes)
  end

  defp target!(other), do: wrong_target(other)

  @spec wrong_target(term) :: no_return
  defp wrong_target(node) do
    raise ArgumentError,
          "expected a node id, a list of 1 to #{@most_nodes} different node ids, or \"*\", got: #{inspect(node)}"
  end

  defp unwrap!({:ok, value}), do: value
  defp unwrap!({:error, error}), do: raise(error)
end
