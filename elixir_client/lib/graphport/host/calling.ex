defmodule Graphport.Host.Calling do
  # One run of a node of the app, in the process of that run: calls the module, and writes what comes of it to the engine.
  # Whatever the module does ends here; a process that is killed is answered for by the `Dispatcher`.
  @moduledoc false

  import Graphport.Wire.Limits

  alias Graphport.Host.Failure
  alias Graphport.Node.Context
  alias Graphport.Port.{Parts, Pipe, Writer}
  alias Graphport.Wire.Messages

  # A part waits as long as the engine lives.
  @stall_ms 3_600_000

  @doc """
  The process of a run. `wire` is the engine's pipe and credit; `answered` is set to 1 when the answer is written: a process
  may end without, and as if nothing were wrong.
  """
  @spec run(module, map, map) :: term
  def run(module, inputs, facts) do
    {answered, facts} = Map.pop!(facts, :answered)
    context = struct!(Context, Map.put(facts, :pid, self()))
    Process.put({__MODULE__, context.call}, host_window_chunks())
    answer(context, result(module, inputs, context))
    :atomics.put(answered, 1, 1)
  end

  defp result(module, inputs, context) do
    case module.run(inputs, context) do
      {:ok, outputs} when is_map(outputs) and not is_struct(outputs) -> {:ok, outputs}
      {:error, reason} -> {:error, Failure.returned(context, reason)}
      _other -> {:error, Failure.wrong_return(context)}
    end
  catch
    kind, reason -> {:error, Failure.raised(context, kind, reason, __STACKTRACE__)}
  end

  defp answer(context, {:ok, outputs}) do
    case Messages.host_reply(context.call, true, outputs) do
      {:ok, message} -> write(context, message)
      {:error, error} -> answer(context, {:error, Failure.returned(context, error)})
    end
  end

  defp answer(context, {:error, fault}), do: write(context, Messages.host_failed(context.call, fault))

  @doc "See `Graphport.Node.stream/3`."
  @spec stream(Context.t(), String.t(), term) :: :ok
  def stream(%{pid: pid} = context, port, chunk) when pid == self() do
    take_turn(context)

    case Messages.host_stream(context.call, port, chunk) do
      {:ok, {:parts, _bytes, _ending} = long} ->
        wrote!(write(context, long))
        # Others of its length would be too much.
        await(context, host_window_chunks())

      {:ok, message} ->
        wrote!(write(context, message))

      {:error, error} ->
        raise error
    end
  end

  def stream(_context, _port, _chunk),
    do: raise(ArgumentError, "Graphport.Node.stream/3 works in the process of the run only")

  defp wrote!(:ok), do: :ok
  # The engine has ended, and with it whoever waits.
  defp wrote!({:error, _closed}), do: exit({:shutdown, :engine_down})

  # How many chunks may be sent stands in the process dictionary: there is no other state that stays between two calls.
  defp take_turn(context) do
    await(context, 1)
    key = {__MODULE__, context.call}
    Process.put(key, Process.get(key) - 1)
  end

  defp await(%{call: call} = context, needed) do
    key = {__MODULE__, call}
    patience = if Process.get(key) >= needed, do: 0, else: :infinity

    receive do
      {:graphport_host_more, ^call, chunks} ->
        Process.put(key, Process.get(key) + chunks)
        await(context, needed)
    after
      patience -> :ok
    end
  end

  @doc "See `Graphport.Node.progress/3`."
  @spec progress(Context.t(), number | nil, String.t()) :: :ok
  def progress(%{wire: {port, credit}, call: call}, fraction, text) do
    case Messages.host_progress(call, fraction, text) do
      {:ok, message} ->
        _ = Writer.try_write(port, credit, message, :normal)
        :ok

      {:error, error} ->
        raise error
    end
  end

  @doc "Writes a message about a call; waits for credit as long as the engine lives."
  @spec write(Context.t() | %{wire: {Pipe.wire(), term}, call: pos_integer}, Messages.outgoing()) ::
          :ok | {:error, :closed}
  def write(%{wire: {port, credit}, call: call}, {:parts, _bytes, _ending} = parts) do
    transfer = %{id: call, wanted?: fn -> true end, deadline: :infinity, stall_ms: @stall_ms}
    with {:error, _why} <- Parts.write(port, credit, parts, transfer), do: {:error, :closed}
  end

  def write(%{wire: {port, credit}}, message) do
    kind = if :erlang.iolist_size(message) <= host_reserve_bytes(), do: :reserve, else: :normal
    with {:error, _why} <- Writer.write(port, credit, message, kind, :infinity), do: {:error, :closed}
  end
end
