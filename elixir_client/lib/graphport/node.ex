defmodule Graphport.Node do
  @moduledoc """
  A node type that is written in Elixir and runs in your app.

      defmodule MyApp.Upcase do
        use Graphport.Node,
          inputs: [text: [type: :string, required: true]],
          outputs: [text: [type: :string]]

        @impl true
        def run(%{"text" => text}, _context), do: {:ok, %{"text" => String.upcase(text)}}
      end

      {Graphport, name: MyApp.Graphs, host_nodes: [MyApp.Upcase]}

  Graphs then have the type `upcase`, and everything about it is as with any other type: `Graphport.nodes/2` lists it, graphs
  are checked against its ports, demands share it, cancel it and wait for it, and what it streams is streamed. A type of
  the app's takes the place of a type of the same name that is written in Python.

  ## Options

    * `:type` - the name graphs use; the default is the module's last name: `MyApp.WordCount` is `word-count`.
    * `:title`, `:category`, `:description` - for people.
    * `:inputs`, `:outputs` - the ports, by name, in order: `[text: [type: :string], rest: []]`, or just names. Both take
      `:type` (default `:any`), `:hidden` and `:description`. Inputs also take `:required`, `:default`, `:min`, `:max`,
      `:choices`, `:multiple` (any number of edges; the value is a list), `:external` (demands usually supply it) and
      `:setting` (the graph setting that does). Outputs also take `:stream`: chunks are sent while the node runs.
    * `:effect` - when a result may be used again:
        * `:effect` (the default) - runs once for each demand that needs it. Nothing is known of what code does in an app,
          which has a database and the world at hand, so nothing is assumed.
        * `:pure` - the outputs hang on the inputs alone. They are cached, and demands at the same time share one run.
        * `:seeded` - the same, with an input `seed` that is drawn where none is given.
        * `:volatile` - once for each demand too, but may be run again.
    * `:version` - part of what cached results are kept under, as are the ports and the compiled code of this module (not of
      those that it calls: raise the version, a text, when they change what comes out).
    * `:timeout` - milliseconds a run may take, the wait for its turn included; then the demand fails as `:deadline_exceeded`.

  Wrong options make the start of the instance fail as `:invalid_nodes`.

  ## Running

  Each run is a process of its own, supervised by the instance. It is killed when nobody waits for its result any more: after a
  cancel, a deadline, the end of the caller or of the engine. At most `host_concurrency:` run at a time; others wait
  for their turn. A run that waits for a demand of its own, in its own process, has no turn meanwhile, so that nodes may
  demand what needs other nodes of the app; `context.instance` names the instance. A node that is `:pure` or `:seeded` must not
  demand, on whatever way, itself with the same inputs: it would wait for its own result, as long as that demand has no `timeout:`.

  A run that returns `{:error, reason}`, raises, throws or exits fails the node: a `%Graphport.Error{}` keeps its code, anything
  else is `:host_node_failed`, with exception and stack trace. Inputs are not put into messages; what your own exceptions
  say is.
  """

  alias Graphport.Host.Calling
  alias Graphport.Node.Context

  @doc """
  The outputs for inputs.

  Both are maps of port names. Inputs have every port that is declared, as text keys; values as described in `Graphport`.
  The outputs must be those that are declared; their keys may be atoms. Called in the run's own process.
  """
  @callback run(inputs :: %{optional(String.t()) => term}, context :: Context.t()) ::
              {:ok, %{optional(String.t() | atom) => term}} | {:error, term}

  defmacro __using__(options) do
    quote do
      @behaviour Graphport.Node

      @doc false
      def __graphport_node__, do: unquote(options)
    end
  end

  @doc """
  Sends a chunk of a streamed output to everybody who listens.

  Waits while they are slow: at most 32 chunks are on their way. Only in the run's own process. A chunk that cannot travel raises
  its `Graphport.Error`, which fails the node.
  """
  @spec stream(Context.t(), String.t() | atom, term) :: :ok
  def stream(%Context{} = context, port, chunk) when is_binary(port) or is_atom(port),
    do: Calling.stream(context, to_string(port), chunk)

  @doc """
  Tells demands that asked for events how far the node is: `fraction` from 0 to 1, or nil, and a few words.

  Never waits; where the engine has much to read, it is dropped. From any process.
  """
  @spec progress(Context.t(), number | nil, String.t()) :: :ok
  def progress(%Context{} = context, fraction, text \\ "")
      when (is_number(fraction) or is_nil(fraction)) and is_binary(text),
      do: Calling.progress(context, fraction, text)

  @doc """
  Whether the run is over, because nobody waits for it any more or it has returned. For processes that a run has started: the
  run itself is killed.
  """
  @spec cancelled?(Context.t()) :: boolean
  def cancelled?(%Context{pid: pid}), do: not Process.alive?(pid)
end
