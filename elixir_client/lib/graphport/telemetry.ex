defmodule Graphport.Telemetry do
  # One row per event; the tables of the documentation are made from it, and a test holds what is emitted against it.
  span = [:telemetry_span_context]
  failure = [:kind, :reason, :stacktrace, :code]
  demand = [:instance, :session, :node, :demand | span]
  ended = [:duration, :monotonic_time]
  started = [:system_time, :monotonic_time]
  node = [:instance, :demand, :node | span]
  engine = [:instance, :engine, :os_pid | span]

  @events [
    {[:graphport, :demand, :start], started, demand, "A demand is made."},
    {[:graphport, :demand, :stop], ended, demand ++ [:engine, :status], "It is done."},
    {[:graphport, :demand, :exception], ended, demand ++ [:engine | failure],
     "It failed, was cancelled, or was given up by whoever made it."},
    {[:graphport, :node, :start], started, node, "A node's execution was begun or joined."},
    {[:graphport, :node, :stop], ended, node ++ [:status], "A node is done, or need not be executed."},
    {[:graphport, :node, :exception], ended, node ++ failure, "It failed, or its demand ended before it."},
    {[:graphport, :engine, :start], started, engine, "An engine's OS process was started."},
    {[:graphport, :engine, :ready], ended, engine, "It is up: `duration` is what that took."},
    {[:graphport, :engine, :stop], ended, engine ++ [:status], "It was stopped with the instance."},
    {[:graphport, :engine, :exception], ended ++ [:backoff_ms], engine ++ failure,
     "It ended otherwise, or never came up: `reason.message` says how."},
    {[:graphport, :instance, :state],
     [:open_demands, :open_sessions, :dropped_lines, :waiting_events, :dropped_spans], [:instance],
     "Every `telemetry_interval`."},
    {[:graphport, :engine, :state],
     [
       :open_demands,
       :sessions,
       :unread_frames,
       :unread_bytes,
       :credit_frames,
       :credit_bytes,
       :sent_bytes,
       :received_bytes,
       :message_queue_len,
       :restarts,
       :memory_bytes
     ], [:instance, :engine, :status, :os_pid], "Every `telemetry_interval`, for each engine."}
  ]

  @measurements [
    duration: "native units of time; `System.convert_time_unit(duration, :native, :millisecond)`",
    monotonic_time: "native units of time, when it happened; system time also when it began",
    system_time: "native units of time",
    backoff_ms: "milliseconds until the engine is started anew",
    open_demands: "demands and requests under way",
    open_sessions: "sessions",
    sessions: "sessions that are loaded there",
    dropped_lines: "log lines that Logger was too slow for, not yet reported by a warning in the log",
    waiting_events: "events of telemetry that wait for handlers",
    dropped_spans:
      "spans that were not reported, since the start of the instance, because handlers were too slow",
    unread_frames: "frames that the engine has not read yet",
    unread_bytes: "bytes of those",
    credit_frames:
      "frames that may be written before somebody must wait for the engine to read; of the window's 512",
    credit_bytes: "bytes of the same; of the window's 2 MiB",
    sent_bytes: "bytes written to this engine; 0 through ErlPort",
    received_bytes: "bytes read from it; 0 through ErlPort",
    message_queue_len: "messages that wait for the process which routes what comes from the engine",
    restarts: "how often the engine was started anew",
    memory_bytes: "resident memory of the engine's OS process; 0 where there is no `/proc`"
  ]

  @metadata [
    instance: "name of the instance",
    session: "`id` of the `Graphport.Session`",
    node: "what was demanded: a node id, a list of them or `\"*\"`; in events of nodes, the node's id",
    demand: "`ref` of the `Graphport.Demand`",
    engine: "index of the engine, from 0; nil for a demand that reached none",
    os_pid: "id of the engine's OS process; nil while there is none",
    status:
      "of a demand or a node `:completed`, `:cached` or `:skipped` (of several nodes, if all were); of an engine's end " <>
        "`:stopped`, of its state as in `Graphport.info/1`",
    kind: "always `:error`",
    reason: "a `Graphport.Error`",
    code: "its code, such as `:deadline_exceeded`, as a tag",
    stacktrace: "always `[]`: what there is of Python's is in `reason.traceback`",
    telemetry_span_context: "the same in all events of a span, and in no other's"
  ]

  names = fn keys -> Enum.map_join(keys, ", ", &"`#{&1}`") end

  event_rows =
    Enum.map_join(@events, "\n", fn {event, measurements, metadata, text} ->
      "| `#{inspect(event)}` | #{text} | #{names.(measurements)} | #{names.(metadata)} |"
    end)

  key_rows = fn keys -> Enum.map_join(keys, "\n", fn {key, text} -> "| `#{key}` | #{text} |" end) end

  @moduledoc """
  The events that an instance sends to `:telemetry`, if the app has that library.

      :telemetry.attach_many("my-app", Graphport.Telemetry.events(), &MyApp.Metrics.handle/4, nil)

  With `Telemetry.Metrics`:

      [
        summary("graphport.demand.stop.duration", unit: {:native, :millisecond}, tags: [:node]),
        counter("graphport.demand.exception.duration", tags: [:code]),
        last_value("graphport.engine.state.open_demands", tags: [:engine]),
        last_value("graphport.engine.state.memory_bytes", tags: [:engine], unit: {:byte, :megabyte})
      ]

  The library is looked for once, when the instance starts. `telemetry: false` turns events off, `telemetry: :nodes` adds
  those of nodes, for which the engine must report each node of every demand: as many messages more. A cached demand of two
  nodes costs the BEAM about twice its time with events, four times with those of nodes; one that calls a model does not notice.
  While no handler is attached to any event of demands, nothing is reported of them and they cost next to nothing more (but with
  `telemetry: :nodes`); a demand that began so is not reported at all.

  ## Events

  | event | when | measurements | metadata |
  |---|---|---|---|
  #{event_rows}

  A start is followed by exactly one stop or exception, also when the engine or the process that made the demand ends. If somebody was
  killed in the very moment of reporting it, that is found out 10 to 20 s later; only who kills the reporting process, or
  the instance's supervisor, loses what waits there for handlers. A node that several
  demands share has events in each of them. An engine that was cancelled or stopped in its work reports no node's end: its nodes
  end with their demand.

  ## Measurements

  | measurement | unit and meaning |
  |---|---|
  #{key_rows.(@measurements)}

  ## Metadata

  | key | meaning |
  |---|---|
  #{key_rows.(@metadata)}

  ## Where handlers run

  `[:graphport, :demand, :start]` runs in the process that makes the demand, before the demand is written: it can read
  that process's context, and takes that process's time; for a session of another node it is a process of that node. All other events run in a process of their own, one after the
  other in the order in which things happened, so a slow handler holds no demand up. An engine's
  routing never waits for a handler, nor does it end with one. One that takes over 5 s is killed within 5 more.

  When more than 10,000 events wait for handlers, new demands and nodes are not reported at all, and counted in
  `dropped_spans`; what was begun is reported to its end.
  """

  @doc """
  The names of all events, for `:telemetry.attach_many/4`.

      iex> [:graphport, :demand, :stop] in Graphport.Telemetry.events()
      true
  """
  @spec events() :: [[atom, ...]]
  def events, do: for({event, _measurements, _metadata, _text} <- @events, do: event)

  @doc false
  def documented, do: Enum.map(@events, &Tuple.delete_at(&1, 3))

  @doc false
  def explained, do: {Keyword.keys(@measurements), Keyword.keys(@metadata)}
end
