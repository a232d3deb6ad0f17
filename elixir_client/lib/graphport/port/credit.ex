defmodule Graphport.Port.Credit do
  # Who may write to the pipe: counts frames and bytes sent against those the engine says it has read, so that the
  # port is never busy and no writer is ever suspended. Lock-free: callers take, the engine owner settles.
  #
  # A writer killed between taking and writing leaks its credit; `settle/4` gives it back as soon as the engine has
  # read all that the port ever put out. One that had taken but not yet written at that moment is then not counted:
  # a window too large by one frame per such writer, until the next time.
  @moduledoc false

  import Graphport.Wire.Limits

  @frames_sent 1
  @bytes_sent 2
  @frames_read 3
  @bytes_read 4

  @type t :: :atomics.atomics_ref()

  @spec new() :: t
  def new, do: :atomics.new(4, signed: true)

  @doc "Takes credit for one frame. `:reserve` may use the part that is kept for cancel, grant, close and ping."
  @spec take(t, non_neg_integer, :normal | :reserve) :: boolean
  def take(credit, bytes, :normal),
    do: take(credit, bytes, window_frames() - reserve_frames(), window_bytes() - reserve_bytes())

  def take(credit, bytes, :reserve), do: take(credit, bytes, window_frames(), window_bytes())

  defp take(credit, bytes, max_frames, max_bytes) do
    frames_out = :atomics.add_get(credit, @frames_sent, 1) - :atomics.get(credit, @frames_read)
    bytes_out = :atomics.add_get(credit, @bytes_sent, bytes) - :atomics.get(credit, @bytes_read)

    if frames_out <= max_frames and bytes_out <= max_bytes do
      true
    else
      give_back(credit, bytes)
      false
    end
  end

  @doc "Takes credit whether there is any or not: for what must be sent."
  @spec force(t, non_neg_integer) :: :ok
  def force(credit, bytes) do
    :atomics.add(credit, @frames_sent, 1)
    :atomics.add(credit, @bytes_sent, bytes)
  end

  @doc "Undoes a `take/3` whose frame was not written."
  @spec give_back(t, non_neg_integer) :: :ok
  def give_back(credit, bytes) do
    :atomics.sub(credit, @frames_sent, 1)
    :atomics.sub(credit, @bytes_sent, bytes)
  end

  @doc """
  Takes note of what the engine has read, in total. `output` is what the port has put out, in total, if that is known.

  `Port.info(port, :output)` counts the payload of `{:packet, 4}` frames without their four length bytes (measured on
  OTP 25: 0, then 5 after one frame of five bytes), like the engine's own count.
  """
  @spec settle(t, non_neg_integer, non_neg_integer, non_neg_integer | nil) :: :ok
  def settle(credit, frames, bytes, output) do
    :atomics.put(credit, @frames_read, frames)
    :atomics.put(credit, @bytes_read, bytes)

    if bytes == output do
      :atomics.put(credit, @frames_sent, frames)
      :atomics.put(credit, @bytes_sent, bytes)
    end

    :ok
  end

  @doc "Frames and bytes sent and not yet read."
  @spec unread(t) :: {integer, integer}
  def unread(credit) do
    {:atomics.get(credit, @frames_sent) - :atomics.get(credit, @frames_read),
     :atomics.get(credit, @bytes_sent) - :atomics.get(credit, @bytes_read)}
  end
end
