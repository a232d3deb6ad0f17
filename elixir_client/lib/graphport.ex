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
    * of `watch/3`: `{:node_output, node, outputs}` and `{:node_failed, node, error}`, any number of times;
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
  | `"waiting"` | a node that a person has to answer: see `answer/3` | `"prompt"` |
  | `"completed"` | a node | `"us"`: microseconds since `"started"` |
  | `"cached"`, `"skipped"` | a node that is not executed | |
  | `"failed"` | a node that ends the demand, or whose error goes over its error edge | `"code"`: that of the error, as text |
  | `"provenance"` | the demand, if `provenance:` asked for it; `node` is `""` | `"nodes"`, `"caller"`: `PROTOCOL.md` has them |

  A node in a graph that a node holds is named by its path, such as `"outer/inner"` or, in a `map`, `"outer/3/inner"`.

  ## Topics

  A session that is opened with `topic:` also broadcasts, through the `pubsub:` of its instance or its own, for all its
  demands, whoever makes them and however:

    * `{:workflow_stream, node, chunk}` - chunks of the first streaming port of each node, also for demands that ask for
      none, such as those of `demand/3`;
    * `{:workflow_output, node, outputs}` - of a demand that is done; of several nodes one for each;
    * `{:workflow_error, node, error}` - of one that failed, was cancelled or given up; of a list of nodes one for each, of
      `"*"` one with that name. A demand that `demand_async/3` refuses was never begun, and is not broadcast.

  The order is that of each demand's messages. Broadcasts run in a process of their own: one that raises is logged, one
  that takes over 5 s is killed within 5 more. Where they are slower than chunks come, text of a node is joined; past 8 MiB of it, or 10,000
  chunks, further chunks are dropped and counted in the log. Outputs and errors are always kept. The chunks of a demand of
  `stream/3` come at the pace of its consumer.

  `Graphport.Telemetry` has the events of `:telemetry`.

  ## Processes

  Nothing blocks a scheduler: an engine is an OS process behind an Erlang port. Callers write to it themselves and wait
  for nobody; one process per engine only routes what comes back. An engine that dies or hangs is replaced, and its
  sessions are loaded into another one when they are next used. A caller that dies cancels its demands.

  ## Other nodes

  Sessions and demands may be sent to other nodes of a BEAM cluster, and `{name, node}` names an instance of one:

      {:ok, session} = Graphport.open({MyApp.Graphs, :"graphs@10.0.0.7"}, graph)
      {:ok, outputs} = Graphport.demand(session, "answer")

  Messages, options, errors and back-pressure are as at home; the receiver, `to:`, may be a process of any node, but only one
  of the caller's is kept from being flooded. This
  library must be loaded on both nodes, in the same version. Every demand goes through a process on each side. A node, or
  a network, that takes nothing keeps only those waiting who talk to it, until their deadline; without one, until the
  connection is given up (`:net_kernel`'s tick: a minute).

  When the connection ends, demands that came over it are cancelled, and sessions whose owner was behind it close.
  Whoever waits for an answer gets `:engine_down`. A demand ends with the node it was made on, also if it is `to:` a
  process of another one.

  ## Values

  Strings are text and must be UTF-8; wrap other binaries in `bytes/1`. Atoms are written as text, other than `nil`,
  `true`, `false` and the float values `:nan`, `:infinity` and `:neg_infinity`. Numbers of any size, lists, maps, tuples,
  `MapSet`, `Date`, `Time`, `NaiveDateTime` and `DateTime` (in UTC) arrive in Python as their counterparts and come back
  the same. Keys of maps that were atoms come back as strings; in Python `1`, `1.0` and `true` are one key.
  """

  alias Graphport.{
    Bytes,
    Caller,
    Demand,
    DemandStream,
    Edit,
    Error,
    GraphSource,
    Instance,
    Options,
    PubSub,
    Query,
    Questions,
    Remote,
    Session
  }

  alias Graphport.Instance.{Demands, Pool, SessionServer}

  @typedoc "Name of an instance of this node, or of another one: the module must be loaded there too."
  @type instance :: atom | {atom, node}

  @typedoc "Ports to values; for several nodes, node ids to maps of ports to values."
  @type outputs :: %{optional(String.t()) => term}

  @most_nodes 1_000
  @answer_timeout_ms 10_000

  defguardp is_instance(name)
            when is_atom(name) or
                   (tuple_size(name) == 2 and is_atom(elem(name, 0)) and is_atom(elem(name, 1)))

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
  def start_link(options) do
    options = Options.validate!(:start_link, options)
    Instance.Supervisor.start_link(%{options | pubsub: PubSub.find!(options.pubsub)})
  end

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
  @spec open(instance, map | {:file, Path.t()} | {:json, String.t()}, keyword) ::
          {:ok, Session.t()} | {:error, Error.t()}
  def open(name, graph, options \\ []) when is_instance(name) do
    options = Options.validate!(:open, options)
    owner = if options.owner == :caller, do: self(), else: options.owner
    with {:ok, graph} <- GraphSource.load(graph), do: open(name, graph, owner, options)
  end

  defp open({name, node}, graph, owner, options) when node == node(), do: open(name, graph, owner, options)
  defp open({_name, _node} = there, graph, owner, options), do: Remote.open(there, graph, owner, options)

  defp open(name, graph, owner, options) do
    with {:ok, instance} <- Instance.fetch(name) do
      topic = PubSub.target!(options, instance.pubsub)
      SessionServer.open(instance, graph, owner, options.name, options.timeout, topic)
    end
  end

  @doc "Like `open/3`, but returns the session or raises the `Graphport.Error`."
  @spec open!(instance, map | {:file, Path.t()} | {:json, String.t()}, keyword) :: Session.t()
  def open!(name, graph, options \\ []), do: name |> open(graph, options) |> unwrap!()

  @doc """
  The open session that was given this name; `:unknown_session` if there is none.

  One that is still being loaded is found too: what is demanded of it waits for that.
  """
  @spec session(instance, term) :: {:ok, Session.t()} | {:error, Error.t()}
  def session(name, session_name)
  def session({name, node}, session_name) when node == node(), do: session(name, session_name)
  def session({_, _} = there, session_name), do: Remote.call(there, __MODULE__, :session, [session_name])

  def session(name, session_name) when is_atom(name) do
    with {:ok, instance} <- Instance.fetch(name), do: SessionServer.find(instance, session_name)
  end

  @doc """
  Edits the graph of a session: all of the edits, or none.

      {:ok, %{revision: 2, dirty: ["prompt", "answer"]}} =
        Graphport.update(session, [{:set, "prompt", %{"text" => "And the sea?"}}])

  `Graphport.Edit` has the kinds of edits. They are applied in order, and only the graph that comes of all of them has to be
  sound: else it is `:invalid_graph`, with all that is wrong in `error.details["faults"]`, and the session is as it was.

  The answer is a map: `:revision`, one more than before; `:dirty`, ids of the nodes that changed and of everything
  downstream, at most 1,000, and `:dirty_count`, how many they are; `:nodes`, and `:sinks`, at most 1,000. Only dirty nodes run
  again. Demands that were begun before go on with the graph as it was.

  Updates of one session are applied one after the other; they wait while it is being loaded. An engine that ends takes an
  update that it has not answered along (`:engine_down`), the others are in the graph that is loaded into the next one.

  ## Options

  #{Options.docs(:update)}
  """
  @spec update(Session.t(), [Edit.t()] | Edit.t(), keyword) :: {:ok, map} | {:error, Error.t()}
  def update(session, edits, options \\ []) do
    session = session!(session)
    edits = Edit.to_wire!(edits)
    %{timeout: timeout} = Options.validate!(:update, options)

    if Remote.pid?(session.pid),
      do: Remote.about(session, SessionServer, :update, [edits, timeout], timeout),
      else: SessionServer.update(session, edits, timeout)
  end

  @doc """
  Answers a `human-input`, and lets the demands with `wait: true` go on that wait for it: `{:ok, how_many}`.

      {:ok, demand} = Graphport.demand_async(session, "letter", wait: true, events: true)
      # {:node_event, "approve", %{"event" => "waiting", "prompt" => "Send it?"}}
      {:ok, 1} = Graphport.answer(session, "approve", "yes")
      # {:demand_complete, "letter", %{"text" => "…"}}

  The answer becomes an input of its node, `user_response`, for every later demand that does not give it itself; nothing
  that does not hang on it runs again. The session keeps it in its graph, so another engine has it too. The same answer
  twice changes nothing, another one counts from then on, and so does an edit of that input. A node that takes no answers, or nil, is `:invalid_input`.
  """
  @spec answer(Session.t(), String.t(), term) :: {:ok, non_neg_integer} | {:error, Error.t()}
  def answer(session, node, value) when is_binary(node) do
    session = session!(session)

    if Remote.pid?(session.pid) do
      Remote.about(session, __MODULE__, :answer, [node, value], @answer_timeout_ms)
    else
      SessionServer.update(session, {:answer, node, value}, @answer_timeout_ms)
    end
  end

  @doc """
  Closes a session. Its open demands end as `:cancelled`, its name is free. `:ok` also if it was closed already.
  """
  @spec close(Session.t()) :: :ok
  def close(%Session{} = session) do
    if Remote.pid?(session.pid), do: Remote.close(session), else: SessionServer.close(session)
  end

  @doc """
  Demands the outputs of a node, or of several. The answer comes as messages, described above.

  Returns as soon as the demand is written. It waits only while the engine has too much unread (at most until the
  deadline, or 5 s), and then gives `:overloaded`.

  Chunks come as fast as the nodes make them. A process that falls behind is not flooded: above 10,000 unread messages (and
  what came before that was seen) its streams wait in the engine, which joins their text and then holds the nodes back,
  until fewer than 5,000 are unread. The last message waits behind them, and so do other demands of these nodes; one that has
  read nothing for 15 s gets `:overloaded` as its last message. So a process that only wants the outputs, and skips
  the chunks by a selective `receive`, should say `stream: false`, or call `demand/3`; and one that reads slowly, or chunks
  that are large, are better served by `stream/3`, whose window is small.

  ## Options

  #{Options.docs(:demand_async)}
  """
  @spec demand_async(Session.t(), Demand.target(), keyword) :: {:ok, Demand.t()} | {:error, Error.t()}
  def demand_async(session, node, options \\ []) do
    session = session!(session)
    node = target!(node)
    start_demand(session, node, Options.validate!(:demand_async, options))
  end

  defp start_demand(session, node, options) do
    if Remote.pid?(session.pid) or Remote.pid?(options.to),
      do: Remote.demand_async(session, node, options),
      else: Caller.demand_async(session, node, options)
  end

  @doc """
  Watches a node, or several: they are demanded now, and again after each `update/3` that dirties something they need.

  The receiver gets

    * `{:node_output, node, outputs}` - each time the outputs are new;
    * `{:node_failed, node, error}` - each time they could not be evaluated; the watch goes on;
    * `{:demand_error, node, error}` - the last message: `:cancelled` after `cancel/1` or the close of the session,
      `:deadline_exceeded`, `:engine_down`, or what refused it, such as `:unknown_node`.

  Quick edits are evaluated together, the last one always is. What an edit makes outdated is given up, and its chunks cease;
  what it does not reach goes on. Of a receiver that does not read, or of another node, the latest outputs wait.

  A watch ends with its engine: watch again, and the session is loaded anew, its edits included.

  ## Options

  #{Options.docs(:watch)}
  """
  @spec watch(Session.t(), Demand.target(), keyword) :: {:ok, Demand.t()} | {:error, Error.t()}
  def watch(session, node, options \\ []) do
    session = session!(session)
    node = target!(node)
    options = Map.merge(Options.validate!(:watch, options), %{watch: true, trace: false})
    start_demand(session, node, options)
  end

  @doc """
  Demands the outputs of a node, or of several, and waits for them.

  Only the caller waits, and nothing is left in its mailbox.

      {:ok, %{"text" => text}} = Graphport.demand(session, "answer")
      {:ok, %{"answer" => %{"text" => text}, "count" => %{"value" => 3}}} = Graphport.demand(session, ["answer", "count"])

  ## Options

  #{Options.docs(:demand)}
  """
  @spec demand(Session.t(), Demand.target(), keyword) :: {:ok, outputs} | {:error, Error.t()}
  def demand(session, node, options \\ []) do
    session = session!(session)
    node = target!(node)
    options = Options.validate!(:demand, options)

    if Remote.pid?(session.pid),
      do: Remote.demand(session, node, options),
      else: Caller.demand(session, node, options)
  end

  @doc """
  Demands the whole graph: the outputs of all its sinks, as a map of node ids. It is `demand/3` of `"*"`.

      {:ok, %{"answer" => %{"text" => text}, "count" => %{"value" => 3}}} = Graphport.execute(session)
  """
  @spec execute(Session.t(), keyword) :: {:ok, outputs} | {:error, Error.t()}
  def execute(session, options \\ []), do: demand(session, "*", options)

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
  def cancel(%Demand{session: session} = demand) do
    if Remote.pid?(session.pid), do: Remote.cancel(demand), else: Caller.cancel(demand)
  end

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
  @spec nodes(instance, keyword) :: {:ok, [map]} | {:error, Error.t()}
  def nodes(name, options \\ []) when is_instance(name) do
    checked = Options.validate!(:nodes, options)

    case name do
      {name, node} when node == node() -> Query.nodes(name, checked)
      {_name, _node} -> Remote.call(name, __MODULE__, :nodes, [options], checked.timeout)
      name -> Query.nodes(name, checked)
    end
  end

  @doc """
  The graph of a session, as a map that `open/3` takes; with `format: "dependency-json"` it may be a list.

      {:ok, %{"nodes" => nodes, "edges" => edges}} = Graphport.graph(session)

  ## Options

  #{Options.docs(:graph)}
  """
  @spec graph(Session.t(), keyword) :: {:ok, map | [map]} | {:error, Error.t()}
  def graph(session, options \\ []), do: about(session!(session), :graph, options)

  @doc """
  The graph of a session as a Mermaid flowchart, in text.

      {:ok, "flowchart LR" <> _} = Graphport.mermaid(session)

  With the events of a demand that asked for them, it shows what became of each node:

      {:ok, text} = Graphport.mermaid(session, events: [{"prompt", %{"event" => "completed", "us" => 31}}])

  ## Options

  #{Options.docs(:mermaid)}
  """
  @spec mermaid(Session.t(), keyword) :: {:ok, String.t()} | {:error, Error.t()}
  def mermaid(session, options \\ []), do: about(session!(session), :mermaid, options)

  @doc """
  The graph of a session in DOT, for Graphviz; else like `mermaid/2`.

  ## Options

  #{Options.docs(:dot)}
  """
  @spec dot(Session.t(), keyword) :: {:ok, String.t()} | {:error, Error.t()}
  def dot(session, options \\ []), do: about(session!(session), :dot, options)

  defp about(%{pid: pid} = session, what, options) do
    checked = Options.validate!(what, options)

    if Remote.pid?(pid),
      do: Remote.about(session, __MODULE__, what, [options], checked.timeout),
      else: Query.about(session, what, checked)
  end

  @doc "What a demand would run now, and what that is likely to cost: see `Graphport.Questions`."
  @spec plan(Session.t(), Demand.target(), keyword) :: {:ok, map} | {:error, Error.t()}
  def plan(session, node, options \\ []), do: Questions.plan(session!(session), target!(node), options)

  @doc "What has changed since the session last ran a node, and so makes it run again: see `Graphport.Questions`."
  @spec why(Session.t(), Demand.target(), keyword) :: {:ok, map} | {:error, Error.t()}
  def why(session, node, options \\ []), do: Questions.why(session!(session), target!(node), options)

  @doc "What running has cost, per node type, for each engine that is up: see `Graphport.Questions`."
  @spec metrics(instance, keyword) :: {:ok, [map]} | {:error, Error.t()}
  def metrics(name, options \\ []) when is_instance(name), do: Questions.metrics(name, options)

  @doc "What became of each node of a demand with `trace: true`, or of a session's last one: see `Graphport.Questions`."
  @spec trace(Session.t() | Demand.t(), keyword) :: {:ok, map | nil} | {:error, Error.t()}
  def trace(session_or_demand, options \\ [])
  def trace(%Demand{} = demand, options), do: Questions.trace(demand, options)
  def trace(session, options), do: Questions.trace(session!(session), options)

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
  @spec info(instance) :: {:ok, map} | {:error, Error.t()}
  def info(name)
  def info({name, node}) when node == node(), do: info(name)

  def info({name, node} = there) when is_atom(name) and is_atom(node),
    do: Remote.call(there, __MODULE__, :info, [])

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
