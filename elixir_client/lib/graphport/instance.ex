defmodule Graphport.Instance do
  # What every process needs to know of an instance: names and ETS tables. Kept in `:persistent_term` under the
  # instance's name, so that a caller gets it without a message or a copy. Holds no logic but looking things up.
  #
  # Tables (all public; the Table process owns them):
  #   demands   rows of `Graphport.Instance.Demands`, one per open demand or request
  #   routes    {session, pid, wire session, epoch, port, credit, broadcaster}: where a session is loaded now
  #   engines   {index, :up, epoch, port, credit, facts} or {index, :down, %Graphport.Error{}}
  #   placements  {epoch, sessions, silent?} of each engine that takes sessions in, or {:closed, %Graphport.Error{}}
  #   watched   {pid}: the callers that the janitor monitors
  @moduledoc false

  alias Graphport.Error
  alias Graphport.Port.{Credit, Pipe}

  # More engines than one instance can have: `Graphport.Options`.
  @engines 256

  @enforce_keys [
    :name,
    :table,
    :demands,
    :routes,
    :engines,
    :placements,
    :watched,
    :janitor,
    :log_relay,
    :mailboxes,
    :sessions,
    :broadcasters,
    :pubsub,
    :telemetry,
    :registry,
    :tasks,
    :host,
    :owners,
    :starts,
    :dropped_lines
  ]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          name: atom,
          table: pid,
          demands: :ets.tid(),
          routes: :ets.tid(),
          engines: :ets.tid(),
          placements: :ets.tid(),
          watched: :ets.tid(),
          janitor: atom,
          log_relay: atom,
          mailboxes: atom,
          sessions: atom,
          broadcasters: atom,
          pubsub: Graphport.PubSub.t() | nil,
          telemetry: telemetry | nil,
          registry: atom,
          tasks: atom,
          host: atom,
          owners: [atom],
          starts: :atomics.atomics_ref(),
          dropped_lines: :atomics.atomics_ref()
        }

  @typedoc "What `Graphport.Instance.Spans` keeps, if the app has telemetry."
  @type telemetry :: %{
          reporter: atom,
          spans: :ets.tid(),
          counters: :atomics.atomics_ref(),
          nodes?: boolean,
          asks?: boolean
        }

  @typedoc "One life of an engine's OS process: greater than all before it, with the engine's index in its low bits."
  @type epoch :: pos_integer

  @typedoc "A row of `routes`."
  @type route :: {pos_integer, pid, pos_integer, epoch, Pipe.wire(), Credit.t(), pid | nil}

  @doc "The instance of that name, if it runs."
  @spec fetch(atom) :: {:ok, t} | {:error, Error.t()}
  def fetch(name) do
    case :persistent_term.get({__MODULE__, name}, nil) do
      nil -> {:error, Error.new(:unknown_instance, "no Graphport instance named #{inspect(name)} is running")}
      instance -> {:ok, instance}
    end
  end

  @doc "Creates the tables in the calling process, and publishes the instance."
  @spec create(settings) :: t
        when settings: %{
               name: atom,
               engines: pos_integer,
               pubsub: Graphport.PubSub.t() | nil,
               telemetry: telemetry | nil
             }
  def create(%{name: name, engines: engines} = settings) do
    # Both kinds of concurrency at once cost a third more of every access (measured on OTP 25).
    read = [:set, :public, read_concurrency: true]

    instance = %__MODULE__{
      name: name,
      table: self(),
      demands: :ets.new(:demands, [:set, :public, write_concurrency: true]),
      routes: :ets.new(:routes, read),
      engines: :ets.new(:engines, read),
      placements: :ets.new(:placements, [:set, :public]),
      watched: :ets.new(:watched, read),
      janitor: process_name(name, :janitor),
      log_relay: process_name(name, :log_relay),
      mailboxes: process_name(name, :mailboxes),
      sessions: process_name(name, :sessions),
      broadcasters: process_name(name, :broadcasters),
      pubsub: settings.pubsub,
      telemetry: settings.telemetry,
      registry: process_name(name, :registry),
      tasks: process_name(name, :tasks),
      host: process_name(name, :host),
      owners: for(index <- 0..(engines - 1), do: owner(name, index)),
      starts: :atomics.new(engines, signed: false),
      dropped_lines: :atomics.new(1, signed: false)
    }

    :persistent_term.put({__MODULE__, name}, instance)
    instance
  end

  @doc "What open demands are told by an owner that is ended: without the owner of the tables it is no stop."
  @spec why_ending(t) :: Error.t()
  def why_ending(instance) do
    if Process.alive?(instance.table),
      do: Error.new(:shutting_down, "the Graphport instance #{inspect(instance.name)} is stopping"),
      else:
        Error.new(
          :engine_down,
          "the processes of the Graphport instance #{inspect(instance.name)} were restarted"
        )
  end

  @doc "Takes the instance out of sight, unless its successor is there already; its tables end with their owner."
  @spec forget(t) :: term
  def forget(%{name: name, table: table}) do
    with {:ok, %{table: ^table}} <- fetch(name), do: :persistent_term.erase({__MODULE__, name})
  end

  @doc "The instance's tables."
  @spec tables(t) :: [:ets.tid()]
  def tables(instance),
    do: [instance.demands, instance.routes, instance.engines, instance.placements, instance.watched]

  @doc "The registered name of one of an instance's processes."
  @spec process_name(atom, atom) :: atom
  def process_name(name, role), do: :"#{inspect(name)}.#{role}"

  @doc "The registered name of the process that owns the engine of that index."
  @spec owner(atom, non_neg_integer) :: atom
  def owner(name, index), do: process_name(name, :"engine_#{index}")

  @doc "A new life of the engine of that index."
  @spec new_epoch(non_neg_integer) :: epoch
  def new_epoch(index), do: System.unique_integer([:positive, :monotonic]) * @engines + index

  @doc "The index of an epoch's engine. Of a variable of a match specification it gives the expression for that."
  @spec engine_of(epoch | atom) :: non_neg_integer | tuple
  def engine_of(epoch) when is_integer(epoch), do: rem(epoch, @engines)
  def engine_of(variable), do: {:rem, variable, @engines}

  @doc "The pipe of an epoch, as long as it is up."
  @spec pipe(t, epoch) :: {Pipe.wire(), Credit.t()} | :gone
  def pipe(instance, epoch) do
    case :ets.lookup(instance.engines, engine_of(epoch)) do
      [{_index, :up, ^epoch, port, credit, _facts}] -> {port, credit}
      _another -> :gone
    end
  end
end
