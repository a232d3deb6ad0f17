defmodule Graphport.Instance.Transfer do
  # A process for one message that comes in parts: collects them and, when told, decodes the whole and passes it on, so
  # that the engine owner does neither. Ends with its message, and tells the owner how by the reason it ends with.
  # Started by the owner, through `Graphport.Instance.Transfers`.
  #
  # Before it is told to decode it may be killed: it does nothing but collect. Afterwards it must not be, since between
  # taking a row and sending its last message nobody else knows of it.
  @moduledoc false

  alias Graphport.Instance
  alias Graphport.Instance.Demands
  alias Graphport.Wire.Messages

  @doc "Starts one; the calling process gets `{{:transfer, id}, monitor, :process, pid, reason}` when it ends."
  @spec start(Instance.t(), Messages.id(), Instance.epoch()) :: pid
  def start(instance, id, epoch) do
    options = [monitor: [tag: {:transfer, id}], message_queue_data: :off_heap]
    {pid, _monitor} = :erlang.spawn_opt(__MODULE__, :run, [instance, id, epoch, self()], options)
    pid
  end

  @spec add(pid, binary) :: term
  def add(pid, bytes), do: send(pid, {:part, bytes})

  @doc "Lets it decode what it has. It is then the one process that may touch the demand's row, until it ends."
  @spec finish(pid) :: term
  def finish(pid), do: send(pid, :decode)

  @typedoc """
  How it ended: the message was passed on; it is one for the owner; it breaks the protocol. Anything else: a mistake.
  """
  @type reason ::
          :normal | {:shutdown, {:message, Messages.incoming()}} | {:shutdown, {:fault, String.t()}} | term

  @doc false
  @spec run(Instance.t(), Messages.id(), Instance.epoch(), pid) :: term
  def run(instance, id, epoch, owner) do
    monitor = Process.monitor(owner)
    with {:ok, bytes} <- collect(monitor, <<>>), do: pass_on(instance, id, epoch, Messages.parse_parts(bytes))
  end

  # Appending copies each part as it comes and lets go of its frame.
  defp collect(monitor, bytes) do
    receive do
      {:part, part} ->
        collect(monitor, <<bytes::binary, part::binary>>)

      :decode ->
        Process.demonitor(monitor, [:flush])
        {:ok, bytes}

      {:DOWN, ^monitor, :process, _owner, _reason} ->
        :gone
    end
  end

  defp pass_on(_instance, _id, _epoch, {:ok, {:log, _, _, _, _} = message}), do: hand_over(message)
  defp pass_on(_instance, _id, _epoch, {:ok, {:unknown, _name} = message}), do: hand_over(message)
  defp pass_on(_instance, _id, _epoch, {:ok, {:error, nil, _error} = message}), do: hand_over(message)

  defp pass_on(instance, id, epoch, {:ok, message}) when elem(message, 1) == id do
    Demands.pass_on(instance, message, epoch)
  rescue
    error in ArgumentError ->
      # The instance has stopped, and its tables with it.
      if :ets.info(instance.demands) != :undefined, do: reraise(error, __STACKTRACE__)
  end

  defp pass_on(_instance, id, _epoch, {:ok, message}),
    do: fault("#{elem(message, 0)} of #{elem(message, 1)} in the parts of #{id}")

  defp pass_on(_instance, _id, _epoch, {:error, error}), do: fault(Exception.message(error))

  defp hand_over(message), do: exit({:shutdown, {:message, message}})
  defp fault(text), do: exit({:shutdown, {:fault, text}})
end
