defmodule Graphport.Faults.EnginesThatHangTest do
  # Hostile programs that go silent, deaf, or talk without end: they are killed, each demand gets one `engine_down`,
  # and the next engine works.
  use Graphport.Case, async: true

  import Graphport.Hostile

  alias Graphport.{HostilePrograms, Instance, Ledger}
  alias Graphport.Port.Pipe

  @hang_timeout_ms 1_000

  for program <- HostilePrograms.hangs() do
    test(program, %{name: name}, do: assert_seen(name, unquote(program)))
  end

  for program <- HostilePrograms.hangs_alike() do
    @tag :slow
    test(program, %{name: name}, do: assert_seen(name, unquote(program)))
  end

  for program <- HostilePrograms.floods() do
    @tag :slow
    test program, %{name: name} do
      script = start(name, [unquote(program), :peer], hang_timeout: @hang_timeout_ms)
      assert_engine_replaced(name, script, "")
    end
  end

  test "an engine that sends more than it may is seen as soon as its frames are read", %{name: name} do
    script = start(name, ["floods_unknown.c", :peer])
    ledger = Ledger.open(name)
    {:ok, instance} = Instance.fetch(name)
    [{_index, :up, _epoch, port, _credit, _facts}] = :ets.tab2list(instance.engines)
    # An owner that is not run for a while, as on a busy machine.
    :erlang.suspend_process(owner(name))
    Ledger.demand(ledger, "go")
    eventually(fn -> Pipe.input(port) > 16 * 1024 * 1024 end, 20_000)
    :erlang.resume_process(owner(name))
    Ledger.await(ledger)
    assert Ledger.why(ledger, "go") =~ "bytes more than was read"
    Ledger.assert_all(ledger, :engine_down, ["go"])
    assert {:ok, _outputs} = Graphport.demand(ledger.session, "echo", timeout: 20_000)
    assert_owner_small(name)
    assert_buried(script, 1)
  end

  test "stopping an instance ends a program that ignores everything", %{name: name} do
    script = start(name, ["ignores_everything.c"], drain_timeout: 1)
    ledger = Ledger.open(name)
    Ledger.demand(ledger, "go")
    assert processes(script) == [os_pid(name)]
    :ok = stop_supervised({Graphport, name})
    assert processes(script) == []
    Ledger.await(ledger)
    Ledger.await(ledger, ["go"])
    Ledger.assert_all(ledger, :shutting_down, ["go"])
  end

  defp assert_seen(name, program) do
    before = resident_kib()
    script = start(name, [program, :peer], hang_timeout: @hang_timeout_ms)
    assert_engine_replaced(name, script, "said nothing for #{@hang_timeout_ms} ms")
    # Of what is announced nothing is taken up. Other tests that run at once take some; gigabytes would show.
    assert resident_kib() - before < 500_000
  end

  defp resident_kib do
    [_, kib] = Regex.run(~r/VmRSS:\s+(\d+) kB/, File.read!("/proc/self/status"))
    String.to_integer(kib)
  end
end
