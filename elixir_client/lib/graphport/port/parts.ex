defmodule Graphport.Port.Parts do
  # Puts one long message on the pipe, in parts, from whatever process calls: a demand's caller, or a session. Each
  # part takes credit of its own, so that what others write passes in between. Long binaries are not copied. Must not
  # know what the message says, but that the deadline of a demand may stand at its end.
  @moduledoc false

  import Graphport.Wire.Limits

  alias Graphport.Port.{Credit, Writer}
  alias Graphport.Wire.Messages

  # Each part leaves room for the ending, which is at most so long.
  @ending_bytes 16
  # While there is no credit: how often to see whether the message is wanted still.
  @look_again_ms 50

  @typedoc "`id`: demand or request; `wanted?`: whether anybody waits for what it will bring; `stall_ms`: see `write/4`."
  @type transfer :: %{
          id: Messages.id(),
          wanted?: (() -> boolean),
          deadline: Writer.deadline(),
          stall_ms: pos_integer
        }

  @doc """
  Writes a message in parts. The deadline counts for all of them; without one, each part may wait `stall_ms`.

  `:gone` if the message is not wanted any more. After an error, the engine has a part of the message: cancel it.
  """
  @spec write(port, Credit.t(), {:parts, iodata, :nothing | :deadline}, transfer) ::
          :ok | {:error, :overloaded | :closed | :gone}
  def write(port, credit, {:parts, bytes, ending}, transfer) do
    pipe = {port, credit}
    bytes |> :erlang.iolist_to_iovec() |> each(0, ending, pipe, transfer)
  end

  defp each(iovec, seq, ending, pipe, transfer) do
    {part, rest} = cut(iovec, max_part_bytes() - @ending_bytes, [])
    part = if rest == [], do: [part | ending(ending, transfer)], else: part
    frame = Messages.part(transfer.id, seq, rest == [], part, :erlang.iolist_size(part))

    with :ok <- put(pipe, frame, transfer, until(transfer)) do
      if rest == [], do: :ok, else: each(rest, seq + 1, ending, pipe, transfer)
    end
  end

  defp put({port, credit} = pipe, frame, transfer, until) do
    if transfer.wanted?.() do
      case Writer.write(port, credit, frame, :normal, min(until, Writer.now_ms() + @look_again_ms)) do
        {:error, :overloaded} = failed ->
          if Writer.left_ms(until) == 0, do: failed, else: put(pipe, frame, transfer, until)

        other ->
          other
      end
    else
      {:error, :gone}
    end
  end

  defp until(%{deadline: :infinity, stall_ms: stall_ms}), do: Writer.deadline(stall_ms)
  defp until(%{deadline: deadline}), do: deadline

  defp ending(:nothing, _transfer), do: []
  defp ending(:deadline, transfer), do: Messages.deadline(Writer.left_ms(transfer.deadline))

  # The first `left` bytes of a list of binaries, and the rest; binaries are split without being copied.
  defp cut([binary | rest], left, part) when byte_size(binary) <= left,
    do: cut(rest, left - byte_size(binary), [part | binary])

  defp cut([binary | rest], left, part) when left > 0 do
    <<taken::binary-size(left), others::binary>> = binary
    {[part | taken], [others | rest]}
  end

  defp cut(rest, _left, part), do: {part, rest}
end
