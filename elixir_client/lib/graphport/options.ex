defmodule Graphport.Options do
  @moduledoc """
  Every option of Graphport: type, default, unit and meaning, in one table.

  The functions of `Graphport` check their options against it, in the caller, and their documentation is made from
  it. An unknown option or a value of a wrong type raises `ArgumentError`:

      iex> Graphport.Options.validate!(:demand, timeot: 5)
      ** (ArgumentError) unknown option :timeot of Graphport.demand/3; did you mean :timeout? Known options are :inputs, :timeout, :fresh, :wait, :trace

      iex> Graphport.Options.validate!(:demand, timeout: "soon")
      ** (ArgumentError) option :timeout of Graphport.demand/3: expected milliseconds as an integer from 0 to 4000000000, or :infinity, got: "soon"

      iex> Graphport.Options.validate!(:demand, fresh: true)
      %{inputs: %{}, timeout: 60_000, fresh: true, trace: false, wait: false}
  """

  alias Graphport.Options.Cache

  @inputs {:inputs, :inputs, %{},
           "Values that win over edges, node data, settings and defaults, for this demand: node id to port to value."}
  @fresh {:fresh, :boolean, false, "Draw new seeds for the sampling nodes that the demand needs."}

  @waits {:wait, :boolean, false,
          "Stay open while a `human-input` waits for `Graphport.answer/3`, instead of failing as `:waiting_for_input`."}
  @trace {:trace, :boolean, false, "Keep what becomes of each node, and when, for `Graphport.trace/2`."}
  @listed {:limit, :limit, 1_000, "How many rows to list at most; counts are of all."}
  @wait {:timeout, :timeout, 30_000, "How long to wait for the answer, loading the graph anew included."}

  @stream {:stream, :stream, true,
           "Which chunks are sent: `true` for those of the first streaming port of each node, a list of node ids for " <>
             "those of these nodes, `:all` for every port as `{port, chunk}`, `false` for none."}
  @unlimited {:timeout, :timeout, :infinity,
              "The deadline of the demand, waiting included. The work ends with it: `:deadline_exceeded`."}

  @largest_count 1_000_000
  # About 46 days: with the client's own graces still less than a timer takes.
  @longest_ms 4_000_000_000

  @most_engines 64

  @formats ~w(json workglow-json dependency-json)
  @backends ~w(xllamacpp llama-cpp-python llama-server external)

  @draw [
    {:events, :events, [],
     "Events of a run, as pairs `{node, event}` in their order: what `{:node_event, node, event}` has carried. The " <>
       "drawing then shows what became of each node, and how long it took."},
    {:timeout, :timeout, 30_000, "How long to wait for the answer, loading the graph anew included."}
  ]

  @schemas %{
    start_link: [
      {:name, :name, :required, "Name of the instance: an atom, usually a module name."},
      {:python, :string, nil,
       "Path or name of the Python to run. Else the variable `GRAPHPORT_PYTHON`, then `.venv` in the current folder " <>
         "or one above it, then `python3`."},
      {:python_path, :strings, [], "Folders to search for Python modules before all others."},
      {:nodes, :strings, [], "Python modules that define your own node types."},
      {:host_nodes, :modules, [], "Modules that define node types of your app's: see `Graphport.Node`."},
      {:host_concurrency, :count, 64,
       "How many nodes of `host_nodes:` may run at a time; others wait. Nodes that wait for demands of their own are not counted."},
      {:backend, :backend, nil,
       "What runs models: `\"xllamacpp\"`, `\"llama-cpp-python\"`, `\"llama-server\"` or `\"external\"`. Else the variable " <>
         "`GRAPHPORT_BACKEND`, then the first that is installed."},
      {:cache, :cache, [],
       "How much an engine keeps of what nodes gave: `max_bytes:` (default 256 MiB) and `max_entries:` (1,000,000). " <>
         "`store:` keeps results of nodes that are not inline beyond the engine, for the next one and for all engines " <>
         "that share it: `{:sqlite, path}` is a file in a folder that exists, `{:filesystem, path}` a folder; a third " <>
         "element has its own `max_bytes:` (1 GiB) and `max_entries:`. Sampling nodes are found again if they are given " <>
         "a seed, or in a session of the same number."},
      {:transport, :transport, :port,
       "`:erlport` has the app's own ErlPort start Python and carry the frames, in place of a port of Graphport's own. " <>
         "Slower, and without the pipe's guards; see the README."},
      {:engines, :engines, 1,
       "How many engines, each an OS process of its own. A session goes to the one with the least to do."},
      {:start_timeout, :milliseconds, 15_000, "How long an engine may take to get ready."},
      {:drain_timeout, :timeout, 5_000,
       "How long open demands may go on when the instance is stopped; those left then end as `:shutting_down`. " <>
         "New ones are refused meanwhile. Also for an engine that is replaced; those left then end as `:engine_down`."},
      {:hang_timeout, :milliseconds, 10_000,
       "An engine that says nothing for so long, not even to a ping, is killed and started anew."},
      {:telemetry, :telemetry, true,
       "Whether events go to the app's `:telemetry`, if it has one; `:nodes` has the engine report every node too. See " <>
         "`Graphport.Telemetry`."},
      {:telemetry_interval, :milliseconds, 1_000, "How often gauges are reported."},
      {:pubsub, :pubsub, nil,
       "Where sessions with a `topic:` broadcast: the name of a running `Phoenix.PubSub`, or `{module, argument}` for " <>
         "another module's `broadcast/3`, called as `module.broadcast(argument, topic, message)`."}
    ],
    open: [
      {:owner, :owner, :caller,
       "The session closes when this process ends. `:caller` is the opener; `:none` keeps it until `close/1`."},
      {:name, :term, nil,
       "A name that is the session's alone in its instance, for `session/2`. One that is taken is `:duplicate_id`."},
      {:topic, :string, nil,
       "Broadcast on this topic what becomes of the session's demands; see the module's page."},
      {:pubsub, :pubsub, nil, "In place of the instance's."},
      {:timeout, :timeout, 30_000, "How long loading may take, waiting for the engine included."}
    ],
    demand: [
      @inputs,
      {:timeout, :timeout, 60_000,
       "The deadline of the demand, waiting included. The work ends with it: `:deadline_exceeded`."},
      @fresh,
      @waits,
      @trace
    ],
    demand_async: [
      @inputs,
      @unlimited,
      @stream,
      {:events, :boolean, false, "Send `{:node_event, node, event}` too."},
      {:provenance, :provenance, false,
       "Send `{:node_event, \"\", event}` before the last message, where `event` is `\"provenance\"` with `\"nodes\"`: of " <>
         "each node behind the outputs its type, version, code, key and who gave its inputs. A map comes back as `\"caller\"`."},
      @fresh,
      @waits,
      @trace,
      {:to, :to, :caller,
       "The process that receives the messages, on whatever node. When it ends, the demand is cancelled."},
      {:tag, :term, nil,
       "Every message comes as `{:graphport, tag, message}`; `true` makes the demand's `ref` the tag, `nil` sends " <>
         "the messages as they are."}
    ],
    watch: [
      @inputs,
      {:timeout, :timeout, :infinity, "How long to watch at most; it then ends with `:deadline_exceeded`."},
      {:stream, :stream, false,
       "Which chunks are sent, as of `Graphport.demand_async/3`. Those of an evaluation that an edit overtakes cease."},
      {:events, :boolean, false,
       "Send `{:node_event, node, event}` too; each evaluation begins with `\"planned\"`."},
      {:fresh, :boolean, false, "Draw new seeds for the first evaluation."},
      {:to, :to, :caller,
       "The process that receives the messages, on whatever node. When it ends, so does the watch."},
      {:tag, :term, nil, "As of `Graphport.demand_async/3`."}
    ],
    update: [
      {:timeout, :timeout, 30_000, "How long to wait for the answer, and for the session to be loaded."}
    ],
    stream: [
      @inputs,
      @unlimited,
      @stream,
      {:elements, :elements, :chunks,
       "What is enumerated: `:chunks`, or `:messages` for `{:node_stream, node, chunk}`, `{:node_event, node, event}` " <>
         "and, last, `{:demand_complete, node, outputs}`."},
      {:events, :boolean, false,
       "Events too; needs `elements: :messages`. The window holds back `\"progress\"`, of which the latest is kept, and " <>
         "no others."},
      {:window, :count, 32, "How many chunks, and events of progress, may wait in the mailbox."},
      @fresh,
      @waits,
      @trace
    ],
    plan: [@inputs, @fresh, @listed, @wait],
    why: [@inputs, @listed, @wait],
    metrics: [
      {:reset, :boolean, false, "Begin counting anew, once they are read."},
      {:timeout, :timeout, 5_000, "How long to wait for the answers of all engines."}
    ],
    trace: [
      {:format, :trace_format, "steps", "The shape: `\"steps\"`, or `\"chrome\"` for Perfetto."},
      @wait
    ],
    graph: [
      {:format, :format, "json",
       "The shape: `\"json\"`, Graphport's own; `\"workglow-json\"`, Workglow's tasks and dataflows; " <>
         "`\"dependency-json\"`, its tasks with what each depends on."},
      {:timeout, :timeout, 30_000, "How long to wait for the answer, loading the graph anew included."}
    ],
    mermaid: @draw,
    dot: @draw,
    nodes: [
      {:type, :string, nil, "Only this type; `:unknown_type` if there is none."},
      {:timeout, :timeout, 5_000, "How long to wait for the answer."}
    ]
  }

  @arity %{
    start_link: 1,
    open: 3,
    update: 3,
    demand: 3,
    demand_async: 3,
    watch: 3,
    stream: 3,
    graph: 2,
    mermaid: 2,
    dot: 2,
    nodes: 2,
    plan: 3,
    why: 3,
    metrics: 2,
    trace: 2
  }
  @tables Map.new(@schemas, fn {function, schema} ->
            {function, Map.new(schema, &{elem(&1, 0), elem(&1, 1)})}
          end)
  @defaults Map.new(@schemas, fn {function, schema} ->
              {function,
               for(
                 {name, _type, default, _text} <- schema,
                 default != :required,
                 into: %{},
                 do: {name, default}
               )}
            end)
  @required Map.new(@schemas, fn {function, schema} ->
              {function, for({name, _type, :required, _text} <- schema, do: name)}
            end)

  @typedoc "A function of `Graphport` that takes options."
  @type function_name ::
          :start_link
          | :open
          | :update
          | :demand
          | :demand_async
          | :watch
          | :stream
          | :graph
          | :mermaid
          | :dot
          | :nodes
          | :plan
          | :why
          | :metrics
          | :trace

  @doc """
  The options as a map with every option in it. Raises `ArgumentError` for what is unknown, missing or of a wrong type.

      iex> Graphport.Options.validate!(:open, [])
      %{name: nil, owner: :caller, pubsub: nil, timeout: 30_000, topic: nil}
  """
  @spec validate!(function_name, keyword) :: map
  def validate!(function, []) when :erlang.map_get(function, @required) == [],
    do: :erlang.map_get(function, @defaults)

  def validate!(function, options) when is_list(options) do
    given = check(options, Map.fetch!(@tables, function), Map.fetch!(@defaults, function), function)

    case Enum.reject(Map.fetch!(@required, function), &is_map_key(given, &1)) do
      [] -> given
      [name | _] -> raise ArgumentError, "option #{inspect(name)} of #{title(function)} is required"
    end
  end

  def validate!(function, other) do
    raise ArgumentError, "#{title(function)} takes its options as a keyword list, got: #{inspect(other)}"
  end

  @doc """
  The options of a function as Markdown, for its documentation.

      iex> Graphport.Options.docs(:open) =~ "`:timeout`"
      true
  """
  @spec docs(function_name) :: String.t()
  def docs(function) do
    Enum.map_join(Map.fetch!(@schemas, function), "\n", fn {name, type, default, text} ->
      "  * `#{inspect(name)}` (#{expected(type)}; #{shown_default(default)}) - #{text}"
    end)
  end

  defp check([{name, value} | rest], table, acc, function) when is_atom(name) do
    case table do
      %{^name => type} ->
        unless valid?(type, value), do: wrong(function, name, type, value)
        check(rest, table, Map.put(acc, name, value), function)

      _unknown ->
        unknown(function, name)
    end
  end

  defp check([], _table, acc, _function), do: acc

  defp check(other, _table, _acc, function) do
    raise ArgumentError, "#{title(function)} takes its options as a keyword list, got: #{inspect(other)}"
  end

  defp valid?(:name, value), do: is_atom(value) and value not in [nil, true, false]
  defp valid?(:string, value), do: is_nil(value) or (is_binary(value) and value != "")
  defp valid?(:pubsub, {module, _argument}), do: valid?(:name, module)
  defp valid?(:pubsub, value), do: is_atom(value) and value not in [true, false]
  defp valid?(:telemetry, value), do: is_boolean(value) or value == :nodes
  defp valid?(:backend, value), do: value == nil or value in @backends
  defp valid?(:cache, value), do: Cache.valid?(value)
  defp valid?(:strings, value), do: is_list(value) and Enum.all?(value, &(is_binary(&1) and &1 != ""))
  defp valid?(:modules, value), do: is_list(value) and Enum.all?(value, &valid?(:name, &1))
  defp valid?(:transport, value), do: value in [:port, :erlport]
  defp valid?(:engines, value), do: is_integer(value) and value in 1..@most_engines
  defp valid?(:milliseconds, value), do: is_integer(value) and value in 1..@longest_ms
  defp valid?(:timeout, value), do: value == :infinity or (is_integer(value) and value in 0..@longest_ms)
  defp valid?(:boolean, value), do: is_boolean(value)
  defp valid?(:provenance, value), do: is_boolean(value) or is_map(value)
  defp valid?(:inputs, value), do: is_map(value) and Enum.all?(value, fn {_node, ports} -> is_map(ports) end)
  defp valid?(:stream, value), do: is_boolean(value) or value == :all or valid?(:strings, value)
  defp valid?(:owner, value), do: is_pid(value) or value in [:caller, :none]
  defp valid?(:to, value), do: is_pid(value) or value == :caller
  defp valid?(:elements, value), do: value in [:chunks, :messages]
  defp valid?(:count, value), do: is_integer(value) and value in 1..@largest_count
  defp valid?(:format, value), do: value in @formats
  defp valid?(:trace_format, value), do: value in ["steps", "chrome"]
  defp valid?(:limit, value), do: is_integer(value) and value in 0..10_000

  defp valid?(:events, value),
    do: is_list(value) and Enum.all?(value, &(match?({_node, %{}}, &1) and is_binary(elem(&1, 0))))

  defp valid?(:term, _value), do: true

  defp expected(:name), do: "an atom"
  defp expected(:string), do: "a non-empty string"
  defp expected(:pubsub), do: "the name of a Phoenix.PubSub or {module, argument}"
  defp expected(:telemetry), do: "true, false or :nodes"
  defp expected(:backend), do: Enum.map_join(@backends, ", ", &inspect/1)

  defp expected(:cache),
    do: "a keyword list of :max_bytes, :max_entries and store: {:sqlite | :filesystem, path}"

  defp expected(:strings), do: "a list of non-empty strings"
  defp expected(:modules), do: "a list of modules"
  defp expected(:transport), do: ":port or :erlport"
  defp expected(:engines), do: "an integer from 1 to #{@most_engines}"
  defp expected(:milliseconds), do: "milliseconds as an integer from 1 to #{@longest_ms}"
  defp expected(:timeout), do: "milliseconds as an integer from 0 to #{@longest_ms}, or :infinity"
  defp expected(:boolean), do: "a boolean"
  defp expected(:provenance), do: "true, false or a map"
  defp expected(:inputs), do: "a map of node ids to maps of ports"
  defp expected(:stream), do: "true, false, :all or a list of node ids"
  defp expected(:owner), do: "a pid, :caller or :none"
  defp expected(:to), do: "a pid or :caller"
  defp expected(:elements), do: ":chunks or :messages"
  defp expected(:count), do: "an integer from 1 to #{@largest_count}"
  defp expected(:format), do: Enum.map_join(@formats, ", ", &inspect/1)
  defp expected(:trace_format), do: "\"steps\" or \"chrome\""
  defp expected(:limit), do: "an integer from 0 to 10000"
  defp expected(:events), do: "a list of {node, event}"
  defp expected(:term), do: "any term"

  defp shown_default(:required), do: "required"
  defp shown_default(nil), do: "no default"
  defp shown_default(default), do: "default `#{inspect(default)}`"

  @spec wrong(function_name, atom, atom, term) :: no_return
  defp wrong(function, name, type, value) do
    raise ArgumentError,
          "option #{inspect(name)} of #{title(function)}: expected #{expected(type)}, got: #{inspect(value)}"
  end

  @spec unknown(function_name, atom) :: no_return
  defp unknown(function, name) do
    known = for {known, _type, _default, _text} <- Map.fetch!(@schemas, function), do: known
    nearest = Enum.max_by(known, &String.jaro_distance(Atom.to_string(&1), Atom.to_string(name)))

    hint =
      if String.jaro_distance(Atom.to_string(nearest), Atom.to_string(name)) > 0.7,
        do: " did you mean #{inspect(nearest)}?",
        else: ""

    raise ArgumentError,
          "unknown option #{inspect(name)} of #{title(function)};#{hint} " <>
            "Known options are #{Enum.map_join(known, ", ", &inspect/1)}"
  end

  defp title(function), do: "Graphport.#{function}/#{Map.fetch!(@arity, function)}"
end
