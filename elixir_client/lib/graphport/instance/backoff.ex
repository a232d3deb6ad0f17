defmodule Graphport.Instance.Backoff do
  # How long to wait before an engine is started again: 100 ms, doubling to 30 s, with jitter so that many instances
  # do not start at once. An engine that lived for a while starts the count anew. Pure but for the jitter.
  @moduledoc false

  @first_ms 100
  @longest_ms 30_000
  @healthy_ms 10_000

  @type t :: pos_integer

  @spec new() :: t
  def new, do: @first_ms

  @doc "The next delay in milliseconds, within 25 % of the nominal one, and what follows it."
  @spec next(t) :: {pos_integer, t}
  def next(nominal_ms) do
    delay = round(nominal_ms * (0.75 + :rand.uniform() * 0.5))
    {delay, min(nominal_ms * 2, @longest_ms)}
  end

  @doc "An engine lived for so long."
  @spec lived(t, non_neg_integer) :: t
  def lived(_backoff, ms) when ms >= @healthy_ms, do: @first_ms
  def lived(backoff, _ms), do: backoff
end
