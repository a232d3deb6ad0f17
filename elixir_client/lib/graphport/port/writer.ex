defmodule Graphport.Port.Writer do
  # Puts one frame on the pipe, from whatever process calls: takes credit, waits for it at most until the caller's
  # deadline, and writes. Must never write without credit, or the port gets busy and suspends the writer. Only the
  # engine's owner does (`force/3`): its few frames must not wait, and it must not be suspended even if all else fails.
  @moduledoc false

  alias Graphport.Port.{Credit, Pipe}
  alias Graphport.Wire.Messages

  # While there is no credit: how long to wait before looking again, doubling up to the second figure.
  @first_wait_ms 1
  @longest_wait_ms 16

  @type deadline :: integer | :infinity

  @doc "The monotonic time, in milliseconds, that lies `timeout` from now."
  @spec deadline(timeout) :: deadline
  def deadline(:infinity), do: :infinity
  def deadline(milliseconds), do: now_ms() + milliseconds

  @doc "Milliseconds until a deadline, never negative."
  @spec left_ms(deadline) :: timeout
  def left_ms(:infinity), do: :infinity
  def left_ms(deadline), do: max(deadline - now_ms(), 0)

  @spec now_ms() :: integer
  def now_ms, do: :erlang.monotonic_time(:millisecond)

  @doc "Writes, waiting for credit until the deadline."
  @spec write(Pipe.wire(), Credit.t(), iodata, :normal | :reserve, deadline) ::
          :ok | {:error, :overloaded | :closed}
  def write(port, credit, frame, kind, deadline) do
    bytes = :erlang.iolist_size(frame)
    with :ok <- reserve(port, credit, bytes, kind, deadline), do: command(port, credit, frame, bytes)
  end

  @doc "Takes credit for so many bytes, waiting for it until the deadline."
  @spec reserve(Pipe.wire(), Credit.t(), non_neg_integer, :normal | :reserve, deadline) ::
          :ok | {:error, :overloaded | :closed}
  def reserve(port, credit, bytes, kind, deadline) do
    if Credit.take(credit, bytes, kind),
      do: :ok,
      else: wait(port, credit, bytes, kind, deadline, @first_wait_ms)
  end

  @doc "Writes if there is credit now."
  @spec try_write(Pipe.wire(), Credit.t(), iodata, :normal | :reserve) ::
          :ok | {:error, :overloaded | :closed}
  def try_write(port, credit, frame, kind) do
    bytes = :erlang.iolist_size(frame)

    cond do
      Credit.take(credit, bytes, kind) -> command(port, credit, frame, bytes)
      Pipe.open?(port) -> {:error, :overloaded}
      true -> {:error, :closed}
    end
  end

  @doc "Writes a frame for which credit was taken, and that may have become shorter than the `reserved` bytes since."
  @spec write_reserved(Pipe.wire(), Credit.t(), iodata, non_neg_integer) :: :ok | {:error, :closed}
  def write_reserved(port, credit, frame, reserved) do
    bytes = :erlang.iolist_size(frame)
    Credit.shorten(credit, reserved - bytes)
    command(port, credit, frame, bytes)
  end

  @doc "Writes whether there is credit or not, and counts it; but never to a port that would suspend the writer."
  @spec force(Pipe.wire(), Credit.t(), iodata) :: :ok | {:error, :overloaded | :closed}
  def force(port, credit, frame) do
    bytes = :erlang.iolist_size(frame)
    Credit.force(credit, bytes)
    if Pipe.offer(port, frame), do: :ok, else: refused(credit, bytes, :overloaded)
  rescue
    ArgumentError -> refused(credit, :erlang.iolist_size(frame), :closed)
  end

  defp wait(port, credit, bytes, kind, deadline, wait_ms) do
    wait_ms = min(wait_ms, left_ms(deadline))

    cond do
      not Pipe.open?(port) ->
        {:error, :closed}

      wait_ms == 0 ->
        {:error, :overloaded}

      true ->
        # Waits without looking at the mailbox.
        receive after: (wait_ms -> :ok)
        if wait_ms == @longest_wait_ms, do: ask(port, credit)

        if Credit.take(credit, bytes, kind),
          do: :ok,
          else: wait(port, credit, bytes, kind, deadline, min(wait_ms * 2, @longest_wait_ms))
    end
  end

  # Credit that has leaked comes back when the engine says what it has read, which it need not do before it has read more.
  # One of those who wait asks, so that they need not wait for the owner's next ping.
  defp ask(port, credit) do
    if Credit.ask?(credit), do: try_write(port, credit, Messages.ping(0), :reserve)
  end

  defp command(port, credit, frame, bytes) do
    Pipe.command(port, frame)
    :ok
  rescue
    # The wire is closed; an ended epoch's credit is never used again, but keep it true.
    ArgumentError -> refused(credit, bytes, :closed)
  end

  defp refused(credit, bytes, why) do
    Credit.give_back(credit, bytes)
    {:error, why}
  end
end
