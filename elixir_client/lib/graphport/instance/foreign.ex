defmodule Graphport.Instance.Foreign do
  # Runs other people's code for a process that must neither wait for it nor end with it: a `broadcast/3`, the handlers
  # of telemetry. Items are given in batches, one batch at a time, each in a process of its own; order is kept, and every
  # item is begun once. Code that raises is the function's own affair; code that ends its process, or stays in one item
  # for longer than `stall_ms`, costs that item, and the rest of the batch goes on.
  #
  # A plain value in the state of the process it works for, which hands its messages to `handle/2`.
  @moduledoc false

  @enforce_keys [:run, :stall_ms, :begun]
  defstruct [:run, :stall_ms, :begun, pid: nil, monitor: nil, batch: [], timer: nil, seen: 0]

  @type item :: term
  @type t :: %__MODULE__{
          run: (item -> term),
          stall_ms: pos_integer,
          begun: :atomics.atomics_ref(),
          pid: pid | nil,
          monitor: reference | nil,
          batch: [item],
          timer: reference | nil,
          seen: non_neg_integer
        }

  @spec new((item -> term), pos_integer) :: t
  def new(run, stall_ms), do: %__MODULE__{run: run, stall_ms: stall_ms, begun: :atomics.new(1, signed: false)}

  @doc "Whether the next batch can be given."
  @spec idle?(t) :: boolean
  def idle?(foreign), do: foreign.pid == nil

  @doc "Begins a batch. Only while idle."
  @spec give(t, [item, ...]) :: t
  def give(%{pid: nil, run: run, begun: begun} = foreign, batch) do
    :atomics.put(begun, 1, 0)

    {pid, monitor} =
      spawn_monitor(fn ->
        Enum.each(batch, fn item ->
          :atomics.add(begun, 1, 1)
          run.(item)
        end)
      end)

    watch(%{foreign | pid: pid, monitor: monitor, batch: batch, seen: 0})
  end

  @doc """
  Takes a message of the process it works for. `{:ended, reason, foreign}` when an item did not return: the rest of its
  batch is under way again, if there is any.
  """
  @spec handle(t, term) :: {:ok, t} | {:ended, term, t} | :unknown
  def handle(%{monitor: monitor} = foreign, {:DOWN, monitor, :process, _pid, reason}) do
    Process.cancel_timer(foreign.timer)
    begun = :atomics.get(foreign.begun, 1)
    idle = %{foreign | pid: nil, monitor: nil, batch: [], timer: nil}

    case {reason, Enum.drop(foreign.batch, begun)} do
      {:normal, []} -> {:ok, idle}
      {_reason, []} -> {:ended, reason, idle}
      {_reason, rest} -> {:ended, reason, give(idle, rest)}
    end
  end

  def handle(%{pid: pid} = foreign, {:foreign_stalled?, pid}) do
    case :atomics.get(foreign.begun, 1) do
      begun when begun == foreign.seen ->
        # Its end comes as DOWN.
        Process.exit(pid, :kill)
        {:ok, watch(foreign)}

      begun ->
        {:ok, watch(%{foreign | seen: begun})}
    end
  end

  # Of a batch that is over.
  def handle(foreign, {:foreign_stalled?, _pid}), do: {:ok, foreign}
  def handle(_foreign, _other), do: :unknown

  @doc "Ends what is under way, for a process that ends itself: nobody would see that an item hangs."
  @spec stop(t) :: true
  def stop(%{pid: nil}), do: true
  def stop(%{pid: pid}), do: Process.exit(pid, :kill)

  defp watch(foreign) do
    timer = Process.send_after(self(), {:foreign_stalled?, foreign.pid}, foreign.stall_ms)
    %{foreign | timer: timer}
  end
end
