defmodule Graphport.Faults.EnginesThatDoNotStartTest do
  # Hostile programs that never get ready. At the first start they are `start_link/1`'s error; later they are tried
  # again, with a back-off, until there is a good one, and nothing else of the instance ends.
  use Graphport.Case, async: true

  import Graphport.Hostile

  alias Graphport.{Error, HostilePrograms, Ledger}

  @start_timeout_ms 1_000

  for {program, why} <- HostilePrograms.starts() do
    test("#{program} first", %{name: name}, do: assert_refused(name, unquote(program), unquote(why), 15_000))

    unless program in ~w(exits_at_once.sh wraps_a_child.sh), do: @tag(:slow)
    test("#{program} later", %{name: name}, do: assert_passed_over(name, unquote(program), 15_000))
  end

  for program <- HostilePrograms.never_starts() do
    @tag :slow
    test("#{program} first", %{name: name},
      do:
        assert_refused(name, unquote(program), "not ready within #{@start_timeout_ms} ms", @start_timeout_ms)
    )

    @tag :slow
    test("#{program} later", %{name: name}, do: assert_passed_over(name, unquote(program), @start_timeout_ms))
  end

  defp assert_refused(name, program, why, timeout) do
    script = script([program])
    options = [name: name, python: script, start_timeout: timeout]
    assert {:error, %Error{code: :engine_down, message: text}} = Graphport.start_link(options)
    # Of one that ends while it is greeted the pipe may be all that is seen.
    assert text =~ why or text =~ "it closed its pipe"
    assert Process.whereis(name) == nil
    assert starts(script) >= 1
    assert_buried(script)
  end

  defp assert_passed_over(name, program, timeout) do
    script = start(name, [:peer, program, :peer], start_timeout: timeout)
    pillars = pillars(name)
    ledger = Ledger.open(name)
    Ledger.demand(ledger, "die:7")
    Ledger.await(ledger, ["die:7" | []])
    assert {:ok, _outputs} = Graphport.demand(ledger.session, "echo", timeout: 60_000)
    Ledger.assert_all(ledger, :engine_down, ["die:7"])
    assert starts(script) >= 3
    assert pillars(name) == pillars
    assert_buried(script, 2)
    :ok = stop_supervised({Graphport, name})
    assert_buried(script)
  end
end
