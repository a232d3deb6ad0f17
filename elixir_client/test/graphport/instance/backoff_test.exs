defmodule Graphport.Instance.BackoffTest do
  use ExUnit.Case, async: true

  alias Graphport.Instance.Backoff

  test "doubles from 100 ms to 30 s, within a quarter" do
    {delays, _last} = Enum.map_reduce(1..12, Backoff.new(), fn _, backoff -> Backoff.next(backoff) end)

    for {delay, nominal} <-
          Enum.zip(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]),
        do: assert(delay in round(nominal * 0.75)..round(nominal * 1.25))
  end

  test "starts anew after an engine that lived" do
    {_delay, backoff} = Backoff.next(Backoff.new())
    assert Backoff.lived(backoff, 500) == backoff
    assert Backoff.lived(backoff, 10_000) == Backoff.new()
  end
end
