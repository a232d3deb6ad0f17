defmodule Graphport.Questions do
  @moduledoc """
  What can be asked about demands: before them, after them, and of all that an engine has done.

  Call these by `Graphport`. They run in the calling process and ask the engine that has the session, where it is loaded
  anew if need be; an engine that is replaced takes its cache, its metrics and its traces with it. Answers are maps with
  string keys, as the protocol (`PROTOCOL.md`, "Queries") has them. Nothing is run, and no seed is drawn.

  ## `Graphport.plan/3`

  What a demand would run now:

      {:ok, plan} = Graphport.plan(session, "answer")
      plan["counts"]        #=> %{"run" => 2, "cached" => 1, "skipped" => 0, "depends" => 0}
      plan["nodes"]         #=> [%{"node" => "llm", "state" => "run", "execution" => "async", ...}, ...]
      plan["estimated_us"]  #=> 1_250_000.0

  `"depends"` are nodes of which only a run will show whether they are needed: behind gates, error edges and nodes whose
  results are compared by content. The estimate adds up the medians of `Graphport.metrics/2`.

  #{Graphport.Options.docs(:plan)}

  ## `Graphport.why/3`

  What has changed since the session last ran the node, where it began:

      {:ok, why} = Graphport.why(session, "answer")
      why["text"]    #=> "'answer' would run because the value of 'text' of 'prompt' has changed"
      why["causes"]  #=> [%{"node" => "prompt", "cause" => "data_changed", "port" => "text", "text" => ...}]

  #{Graphport.Options.docs(:why)}

  ## `Graphport.metrics/2`

  What running has cost, a map for each engine that is up, with its `"engine"` from 0: per node type executions, times,
  cache hits and bytes; demands; the cache; the last 100 runs.

      {:ok, [%{"engine" => 0, "types" => %{"llm" => %{"executions" => 12, "p95_us" => 900_112.5}}}]} =
        Graphport.metrics(MyApp.Graphs)

  #{Graphport.Options.docs(:metrics)}

  ## `Graphport.trace/2`

  What became of each node of a demand that was made with `trace: true`, and when; of a session the last one. nil if there
  is none any more: an engine keeps those of 10,000 nodes. With `format: "chrome"` it is a map that, written as JSON,
  Perfetto and Chrome's tracing open.

      {:ok, _outputs} = Graphport.demand(session, "answer", trace: true)
      {:ok, %{"steps" => [%{"node" => "prompt", "state" => "ran", "started_us" => 31} | _]}} = Graphport.trace(session)

  #{Graphport.Options.docs(:trace)}
  """

  alias Graphport.{Demand, Error, Options, Query, Remote, Session}

  @type answer :: {:ok, map} | {:error, Error.t()}

  @doc false
  @spec plan(Session.t(), Demand.target(), keyword) :: answer
  def plan(session, node, options), do: of_session(:plan, session, node, Options.validate!(:plan, options))

  @doc false
  @spec why(Session.t(), Demand.target(), keyword) :: answer
  def why(session, node, options), do: of_session(:why, session, node, Options.validate!(:why, options))

  defp of_session(what, %Session{} = session, node, options) do
    args = options |> Map.delete(:timeout) |> Map.new(fn {name, value} -> {Atom.to_string(name), value} end)
    ask(session, Atom.to_string(what), Map.put(args, "node", node), options.timeout)
  end

  @doc false
  @spec trace(Session.t() | Demand.t(), keyword) :: {:ok, map | nil} | {:error, Error.t()}
  def trace(of, options) do
    options = Options.validate!(:trace, options)
    args = %{"format" => options.format}

    case of do
      %Demand{ref: ref, session: session} ->
        ask(session, "trace", Map.put(args, "demand", ref), options.timeout)

      %Session{} = session ->
        ask(session, "trace", args, options.timeout)
    end
  end

  @doc false
  @spec metrics(Graphport.instance(), keyword) :: {:ok, [map]} | {:error, Error.t()}
  def metrics(name, options) do
    checked = Options.validate!(:metrics, options)

    case name do
      {name, node} when node == node() -> Query.metrics(name, checked)
      {_name, _node} -> Remote.call(name, __MODULE__, :metrics, [options], checked.timeout)
      name -> Query.metrics(name, checked)
    end
  end

  defp ask(%Session{pid: pid} = session, what, args, timeout) do
    if Remote.pid?(pid),
      do: Remote.about(session, Query, :ask_about, [what, args, timeout], timeout),
      else: Query.ask_about(session, what, args, timeout)
  end
end
