defmodule Graphport.Port.Credit do
  # Who may write to the pipe: counts frames and bytes sent that the engine has not read yet, so that the port is never
  # busy and no writer is ever suspended. Lock-free: callers take, the engine owner settles.
  #
  # Frames and bytes stand in one word, which is changed only as a whole: whoever finds no credit has changed nothing, so
  # a crowd that waits for credit never stands in the way of the reserve, and a taker that is killed leaves a whole frame
  # behind or nothing.
  #
  # A writer killed between taking and writing leaks its credit; `settle/4` gives it back as soon as the engine has
  # read all that the port ever put out. One that had taken but not yet written at that moment, and still lives, is then
  # not counted: a window too large by one frame per such writer, until the next time. The port's own limits leave room.
  @moduledoc false

  import Bitwise
  import Graphport.Wire.Limits

  @unread 1
  # What the engine has said that it has read, in total. Written by the owner alone.
  @frames_read 2
  @bytes_read 3
  # Whether somebody who found no credit has asked the engine what it has read.
  @asked 4

  # One frame in the word; the bytes stand below it.
  @frame 1 <<< 40
  @bytes_mask @frame - 1

  @type t :: :atomics.atomics_ref()

  @spec new() :: t
  def new, do: :atomics.new(4, signed: true)

  @doc "Takes credit for one frame. `:reserve` may use the part that is kept for cancel, grant, close and ping."
  @spec take(t, non_neg_integer, :normal | :reserve) :: boolean
  def take(credit, bytes, :normal) do
    max_bytes = window_bytes() - reserve_bytes()
    take(credit, bytes, window_frames() - reserve_frames(), max_bytes, :atomics.get(credit, @unread))
  end

  def take(credit, bytes, :reserve),
    do: take(credit, bytes, window_frames(), window_bytes(), :atomics.get(credit, @unread))

  defp take(credit, bytes, max_frames, max_bytes, unread) do
    if unread >>> 40 < max_frames and (unread &&& @bytes_mask) + bytes <= max_bytes do
      case :atomics.compare_exchange(credit, @unread, unread, unread + @frame + bytes) do
        :ok -> true
        changed -> take(credit, bytes, max_frames, max_bytes, changed)
      end
    else
      false
    end
  end

  @doc "Takes credit whether there is any or not: for what must be sent."
  @spec force(t, non_neg_integer) :: :ok
  def force(credit, bytes), do: :atomics.add(credit, @unread, @frame + bytes)

  @doc "Undoes a `take/3` whose frame was not written."
  @spec give_back(t, non_neg_integer) :: :ok
  def give_back(credit, bytes), do: reduce(credit, 1, bytes)

  @doc "Takes note that the frame for which credit was taken got shorter by so many bytes."
  @spec shorten(t, non_neg_integer) :: :ok
  def shorten(credit, bytes), do: reduce(credit, 0, bytes)

  # Never below nothing: what is given back may have been reset meanwhile.
  defp reduce(credit, frames, bytes), do: reduce(credit, frames, bytes, :atomics.get(credit, @unread))

  defp reduce(credit, frames, bytes, unread) do
    left = max((unread >>> 40) - frames, 0) * @frame + max((unread &&& @bytes_mask) - bytes, 0)

    case :atomics.compare_exchange(credit, @unread, unread, left) do
      :ok -> :ok
      changed -> reduce(credit, frames, bytes, changed)
    end
  end

  @doc """
  Takes note of what the engine has read, in total. `output` says what the port has put out, in total, if that is known:
  a function, since it must be asked after the counters. What is taken meanwhile stays counted.

  `:impossible` if the engine says that it has read more than there was, or less than it had said before: believed, it
  would open the window for good. For the owner alone: two at once would count the same frames twice.

  `Port.info(port, :output)` counts the payload of `{:packet, 4}` frames without their four length bytes (measured on
  OTP 25: 0, then 5 after one frame of five bytes), like the engine's own count.
  """
  @spec settle(t, non_neg_integer, non_neg_integer, (() -> non_neg_integer | nil)) :: :ok | :impossible
  def settle(credit, frames, bytes, output) do
    {all_frames, all_bytes} = unread(credit)
    more_frames = frames - :atomics.get(credit, @frames_read)
    more_bytes = bytes - :atomics.get(credit, @bytes_read)
    output = output.()

    # No frame is empty.
    if more_frames < 0 or more_bytes < 0 or frames > bytes or (output != nil and bytes > output) do
      :impossible
    else
      :atomics.put(credit, @frames_read, frames)
      :atomics.put(credit, @bytes_read, bytes)
      :atomics.put(credit, @asked, 0)

      if bytes == output,
        do: reduce(credit, all_frames, all_bytes),
        else: reduce(credit, more_frames, more_bytes)
    end
  end

  @doc "Whether the calling process is the one that may ask the engine what it has read: one, until it has said so."
  @spec ask?(t) :: boolean
  def ask?(credit), do: :atomics.compare_exchange(credit, @asked, 0, 1) == :ok

  @doc "Frames the engine says it has read, in total."
  @spec frames_read(t) :: non_neg_integer
  def frames_read(credit), do: :atomics.get(credit, @frames_read)

  @doc "Frames and bytes sent and not yet read."
  @spec unread(t) :: {non_neg_integer, non_neg_integer}
  def unread(credit) do
    unread = :atomics.get(credit, @unread)
    {unread >>> 40, unread &&& @bytes_mask}
  end
end
