defmodule Graphport.Faults.EnginesThatHangTest do
  # Hostile programs that go silent, deaf, or talk without end: they are killed, each demand gets one `engine_down`,
  # and the next engine works.
  use Graphport.Case, async: true

  import Graphport.Hostile

  alias Graphport.HostilePrograms

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

  test "what is announced takes no memory", %{name: name} do
    before = resident_kib()
    script = start(name, ["length_of_4gb.py", :peer], hang_timeout: @hang_timeout_ms)
    assert_engine_replaced(name, script, "said nothing")
    # Other tests that run at once take some; 4 GB would show.
    assert resident_kib() - before < 1_000_000
  end

  test "stopping an instance ends a program that ignores everything", %{name: name} do
    script = start(name, ["ignores_everything.c"])
    assert processes(script) == [os_pid(name)]
    :ok = stop_supervised({Graphport, name})
    assert processes(script) == []
  end

  defp assert_seen(name, program) do
    script = start(name, [program, :peer], hang_timeout: @hang_timeout_ms)
    assert_engine_replaced(name, script, "said nothing for #{@hang_timeout_ms} ms")
  end

  defp resident_kib do
    [_, kib] = Regex.run(~r/VmRSS:\s+(\d+) kB/, File.read!("/proc/self/status"))
    String.to_integer(kib)
  end
end
